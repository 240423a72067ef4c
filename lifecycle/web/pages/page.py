"""The page of a backtest: one file that opens anywhere, runs nothing and fetches nothing."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lifecycle.domain.policy import Policy
from lifecycle.engine.backtest.report import Report
from lifecycle.web.pages import customers, judged, letters, looks, recipients, stays, told, unsent

_STYLE = looks.style() + (files("lifecycle.web.pages") / "templates" / "style.css").read_text(
    "utf-8"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
SECURITY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"
)


def _finalized(value: Any) -> Any:
    """Names come from files: none of their characters hides or turns what stands beside it."""
    return told.plain(value) if type(value) is str else value


_PAGES = Environment(
    loader=PackageLoader("lifecycle.web.pages", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_finalized,
)
_PAGES.globals["style"] = Markup(_STYLE)  # noqa: S704 - ours, and no data of anybody
_PAGES.globals["security"] = Markup(SECURITY)  # noqa: S704 - likewise


def backtest_page(
    report: Report,
    *,
    title: str,
    made_at: datetime | None = None,
    policy: Policy | None = None,
) -> str:
    """The same bytes for the same arguments. `made_at` is printed where it is given; no clock is read.

    `policy`: the newest that judged, for the labels and the meaning of its states. Without it states
    are coloured by the names of the default policy's.
    """
    found = looks.looks(_states(report), policy)
    figures = judged.key_figures(report)
    return _PAGES.get_template("backtest.html").render(
        title=title,
        made_at=None if made_at is None else told.instant(made_at),
        summary=judged.summary(report),
        assumptions=judged.assumptions(report),
        figures=figures,
        roomy=len(figures) > 6 or any(len(figure.value) > 8 for figure in figures),
        groups=(
            ("Customers", (*customers.sections(report, found), *stays.sections(report, found))),
            (
                "Messages",
                tuple(
                    section
                    for part in (letters, unsent, recipients)
                    for section in part.sections(report)
                ),
            ),
        ),
        facts=judged.facts(report),
    )


def _states(report: Report) -> list[str]:
    """All that are named anywhere, in the order of the report."""
    named = dict.fromkeys(state.state for state in report.states)
    named |= dict.fromkeys(stay.state for stay in report.stays)
    for edge in report.edges:
        named |= dict.fromkeys((edge.from_state, edge.to_state))
    for flip in report.flip_flops:
        named |= dict.fromkeys((flip.state, flip.went_to))
    return list(named)
