"""What does a program that collects metrics read from a page of them?"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(page: str) -> Series:
    """Every sample by its name and labels; the page itself is checked by reading it."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def of(series: Series, name: str, labels: Mapping[str, str] | None = None) -> float | None:
    """One sample of ours; None where there is none."""
    return series.get((f"lifecycle_{name}", frozenset((labels or {}).items())))


def labels_of(series: Series) -> set[tuple[str, str]]:
    """Every label there is, with its value."""
    return {label for _, labels in series for label in labels}
