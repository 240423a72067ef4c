"""Was the forecast any good? One made from the history without its end, beside what followed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lifecycle.insight.forecast import Band, Forecast, Letters
from lifecycle.insight.passages import Passages

NARROW = 0.1  # how far below their level intervals may hold before it is said


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """How forecasts compare with what followed, and with the guess that nothing changes."""

    figures: int  # compared: a state or rule at a reading, where it is not 0 all the time
    inside: int  # of them within their interval
    error: float  # how far off they were, on average
    naive: float  # how far off the guess was

    @property
    def is_better(self) -> bool:
        return self.error < self.naive


@dataclass(frozen=True, slots=True, kw_only=True)
class Hindsight:
    sizes: Hits | None  # None: nothing could be compared
    letters: Hits | None  # of each rule
    volume: Hits | None  # of all rules together
    by_state: Mapping[str, Hits]
    by_rule: Mapping[str, Hits]


def hindsight(
    made: Forecast, counts: Passages, held_back: int, dated: Collection[str] = ()
) -> Hindsight:
    """`made` was forecast for the days that are held back; the guess is the last sizes, and as many
    letters a day as in as many days before.

    That guess knows nothing of dates, so rules that are `dated` do not count among those that it is
    compared with.
    """
    sizes = list(counts.sizes(held_back))
    before = sizes[held_back]
    by_state = {}
    for state, bands in made.sizes.items():
        seen = [sizes[held_back - reading][state] for reading in made.readings]
        guess = [float(before[state])] * len(seen)
        by_state[state] = hits(bands, seen, guess)
    by_rule = {
        rule: _letters([rule], letters, made.readings, counts, held_back)
        for rule, letters in made.letters.items()
    }
    volume = None
    if made.volume is not None:
        every = list(made.letters)  # its dates among them
        volume = _letters(every, made.volume, made.readings, counts, held_back)
    return Hindsight(
        sizes=_together(by_state.values()),
        letters=_together(each for rule, each in by_rule.items() if rule not in dated),
        volume=volume if volume is not None and volume.figures else None,
        by_state={state: each for state, each in by_state.items() if each.figures},
        by_rule={rule: each for rule, each in by_rule.items() if each.figures},
    )


def _letters(
    rules: Sequence[str],
    forecast: Letters,
    readings: Sequence[int],
    counts: Passages,
    held_back: int,
) -> Hits:
    """Of these rules together."""

    def sent(days: range) -> int:
        return sum(counts.sent[rule, day] for rule in rules for day in days)

    usual = sent(range(held_back, 2 * held_back)) / held_back
    periods = [
        range(held_back - last, held_back - first)
        for first, last in zip((0, *readings), readings, strict=False)
    ]
    seen = [sent(days) for days in periods]
    return hits(forecast.periods, seen, [usual * len(days) for days in periods])


def sentences(found: Hindsight, level: float) -> Iterator[str]:
    """The verdict, plainly: also where nothing was gained."""
    told: tuple[tuple[str, str, Hits | None, str, Mapping[str, Hits]], ...] = (
        (
            "sizes of states",
            "customers",
            found.sizes,
            "that sizes stay as they are",
            found.by_state,
        ),
        (
            "letters of each rule",
            "letters",
            found.letters,
            "that as many leave as before",
            found.by_rule,
        ),
        ("letters of all rules", "letters", found.volume, "that as many leave as before", {}),
    )
    for what, unit, found_of, guess, single in told:
        if found_of is None:
            yield f"{what.capitalize()}: there was nothing to compare."
            continue
        share = found_of.inside / found_of.figures
        narrow = "; the intervals were too narrow" if share < level - NARROW else ""
        better = (
            f"better than the guess {guess}, which was off by {found_of.naive:,.1f}"
            if found_of.is_better
            else f"not better than the guess {guess}, which was off by {found_of.naive:,.1f}"
        )
        yield (
            f"{what.capitalize()}: {found_of.inside:,} of {found_of.figures:,} figures ({share:.0%}) lay"
            f" within their {level:.0%} interval{narrow}. They were off by {found_of.error:,.1f} {unit}"
            f" on average, {better}.{_worse(single)}"
        )


def _worse(single: Mapping[str, Hits]) -> str:
    """For which of them the guess would have done."""
    names = [name for name, each in single.items() if not each.is_better]
    return f" It was no better for {', '.join(names)}." if names else ""


def hits(bands: Sequence[Band], seen: Sequence[int], guess: Sequence[float]) -> Hits:
    """What is 0 in the forecast, in fact and by the guess all the time says nothing."""
    if not any(seen) and not any(guess) and not any(band.high >= 0.5 for band in bands):
        return Hits(figures=0, inside=0, error=0.0, naive=0.0)
    count = len(seen)
    # people and letters are whole: an interval holds those which round into it
    inside = sum(
        band.low - 0.5 <= fact <= band.high + 0.5 for band, fact in zip(bands, seen, strict=True)
    )
    off = sum(abs(band.expected - fact) for band, fact in zip(bands, seen, strict=True))
    naive = sum(abs(each - fact) for each, fact in zip(guess, seen, strict=True))
    return Hits(
        figures=count,
        inside=inside,
        error=round(off / count, 2),
        naive=round(naive / count, 2),
    )


def _together(found: Iterable[Hits]) -> Hits | None:
    all_of = [each for each in found if each.figures]
    figures = sum(each.figures for each in all_of)
    if not figures:
        return None
    return Hits(
        figures=figures,
        inside=sum(each.inside for each in all_of),
        error=round(sum(each.error * each.figures for each in all_of) / figures, 2),
        naive=round(sum(each.naive * each.figures for each in all_of) / figures, 2),
    )
