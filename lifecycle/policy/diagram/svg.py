"""The picture of a policy as SVG, without any library: text stays text, dark mode is in its style."""

from __future__ import annotations

from html import escape

from lifecycle.domain.policy import Policy
from lifecycle.policy.diagram import telling
from lifecycle.policy.diagram.colours import DAY, NIGHT
from lifecycle.policy.diagram.layout import (
    CLOCK,
    DETAIL_SIZE,
    LINE,
    NAME_SIZE,
    PILL,
    PILL_HEIGHT,
    SUBTITLE_SIZE,
    TITLE_SIZE,
    UP,
    Box,
    Layout,
    Track,
    laid_out,
)
from lifecycle.policy.diagram.meaning import Meaning, meanings
from lifecycle.policy.diagram.measure import width

_ROUND = 12.0  # radius where a line turns
_ARROW = 8.0
_LEGEND = 40.0


def svg(policy: Policy) -> str:
    """A document of its own, the same for the same policy to the byte."""
    layout = laid_out(policy)
    told = meanings(policy)
    height = layout.height + _LEGEND
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(layout.width)}" '
        f'height="{_n(height)}" viewBox="0 0 {_n(layout.width)} {_n(height)}" role="img" '
        'aria-label="The stages of a customer and what moves her from one to the next">'
    )
    parts = [
        opening,
        f"<style>{_style()}</style>",
        f'<rect class="paper" width="{_n(layout.width)}" height="{_n(height)}" rx="16"/>',
        *(_lines(track, layout, told[track.rule.to]) for track in _far_first(layout)),
        *(_label(track, told[track.rule.to]) for track in layout.tracks),
        *(_state(box, layout, told[box.name]) for box in layout.boxes),
        _legend(layout, height),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _far_first(layout: Layout) -> list[Track]:
    """Near tracks are drawn over far ones."""
    return sorted(layout.tracks, key=lambda track: -track.lane)


def _lines(track: Track, layout: Layout, meaning: Meaning) -> str:
    """The track with its branches, on a halo that interrupts what it crosses."""
    kind = f"{'timed' if track.timed else 'event'} {_c(meaning)}"
    edge = layout.row if track.side == UP else layout.row + layout.box_height
    tip = edge + track.side * 1.5
    paths = _branches(track, edge, tip)
    end = track.ports[track.target]
    arrow = (
        f"M{_n(end)} {_n(tip)}l{_n(-_ARROW * 0.55)} {_n(track.side * _ARROW)}h{_n(_ARROW * 1.1)}z"
    )
    return "".join(
        [
            *(f'<path class="halo" d="{path}"/>' for path in paths),
            *(f'<path class="line {kind}" d="{path}"/>' for path in paths),
            f'<path class="tip {_c(meaning)}" d="{arrow}"/>',
        ]
    )


def _branches(track: Track, edge: float, tip: float) -> list[str]:
    """The furthest source draws the way to the target; the others join it, so that dashes stay dashes."""
    y, end, out = track.y, track.ports[track.target], track.side
    starts = [x for column, x in track.ports.items() if column != track.target]
    if track.pill:
        starts = [track.pill_x + PILL if track.pill_x < end else track.pill_x]
    arrived = False
    paths = []
    for x in sorted(starts, key=lambda x: -abs(x - end)):
        side = 1 if x > end else -1
        path = f"M{_n(x)} {_n(y)}"
        if not track.pill:
            path = f"M{_n(x)} {_n(edge)}V{_n(y - out * _ROUND)}"
            path += f"Q{_n(x)} {_n(y)} {_n(x - side * _ROUND)} {_n(y)}"
        first_of_side = all((other - end) * side <= abs(x - end) for other in starts)
        if first_of_side:
            path += f"H{_n(end + side * _ROUND)}Q{_n(end)} {_n(y)} {_n(end)} {_n(y - out * _ROUND)}"
        if first_of_side and not arrived:
            path += f"V{_n(tip + out * _ARROW)}"
            arrived = True
        paths.append(path)
    return paths


def _label(track: Track, meaning: Meaning) -> str:
    high = track.label_height
    top = track.y - high - 3 if track.side == UP else track.y + 5
    baseline = top + NAME_SIZE - 1.5
    plate = (
        f'<rect class="plate" x="{_n(track.label_x - 4)}" y="{_n(top - 1)}" '
        f'width="{_n(track.label_width + 8)}" height="{_n(high)}" rx="4"/>'
    )
    parts = [
        f"<g><title>{escape(_told(track))}</title>",
        plate,
        _head(track, baseline, meaning),
    ]
    in_guard = False
    for number, line in enumerate(track.details, 1):
        trigger, when, guard = ("", "", line) if in_guard else line.partition("when ")
        in_guard = in_guard or bool(when)
        italic = f'<tspan class="guard">{escape(when + guard, quote=False)}</tspan>'
        parts.append(
            f'<text class="detail" x="{_n(track.label_x)}" y="{_n(baseline + number * LINE)}">'
            f"{escape(trigger, quote=False)}{italic if when or guard else ''}</text>"
        )
    if track.pill:
        parts.append(_pill(track, meaning))
    return "".join([*parts, "</g>"])


def _head(track: Track, baseline: float, meaning: Meaning) -> str:
    """Signs first and text last, so that a wider font than was reckoned with runs into nothing."""
    x = track.label_x
    parts = []
    if track.timed:
        parts.append(
            f'<g class="icon {_c(meaning)}" '
            f'transform="translate({_n(x + 5.5)} {_n(baseline - 4.5)})">'
            '<circle r="5.2"/><path d="M0 -3V0L2.2 1.4"/></g>'
        )
        x += CLOCK
    if track.messages:
        title = f"<title>plans {escape(', '.join(track.messages))}</title>"
        parts.append(_mail(x, baseline - 8.5, title))
        parts.append(
            f'<text class="detail" x="{_n(x + 14.5)}" y="{_n(baseline)}">'
            f"{len(track.messages)}</text>"
        )
        x += track.mail_width
    aside = f'<tspan class="aside" dx="7">{escape(track.aside)}</tspan>' if track.aside else ""
    parts.append(
        f'<text x="{_n(x)}" y="{_n(baseline)}">'
        f'<tspan class="name">{escape(track.head)}</tspan>{aside}</text>'
    )
    return "".join(parts)


def _mail(x: float, y: float, title: str = "") -> str:
    return (
        f'<g class="mail" transform="translate({_n(x)} {_n(y)})">{title}'
        '<rect width="12" height="9" rx="1.6"/><path d="M.8 1.2L6 5.4L11.2 1.2"/></g>'
    )


def _pill(track: Track, meaning: Meaning) -> str:
    y = track.y - PILL_HEIGHT / 2
    return (
        f'<rect class="pill {_c(meaning)}" x="{_n(track.pill_x)}" y="{_n(y)}" width="{_n(PILL)}" '
        f'height="{_n(PILL_HEIGHT)}" rx="{_n(PILL_HEIGHT / 2)}"/>'
        f'<text class="any" x="{_n(track.pill_x + PILL / 2)}" y="{_n(track.y + 4)}">any stage</text>'
    )


def _state(box: Box, layout: Layout, meaning: Meaning) -> str:
    y, high = layout.row, layout.box_height
    middle = y + high / 2
    parts = [f"<g><title>{escape(box.name)}</title>"]
    parts.append(
        f'<rect class="state {_c(meaning)}" x="{_n(box.x)}" y="{_n(y)}" width="{_n(box.width)}" '
        f'height="{_n(high)}" rx="16"/>'
    )
    if box.final:
        parts.append(
            f'<rect class="inner {_c(meaning)}" x="{_n(box.x + 4)}" y="{_n(y + 4)}" '
            f'width="{_n(box.width - 8)}" height="{_n(high - 8)}" rx="12"/>'
        )
    if box.initial:
        parts.append(
            f'<circle class="begin-tip" cx="{_n(box.x - 26)}" cy="{_n(middle)}" r="6"/>'
            f'<path class="begin" d="M{_n(box.x - 20)} {_n(middle)}H{_n(box.x - 9)}"/>'
            f'<path class="begin-tip" d="M{_n(box.x - 1.5)} {_n(middle)}l{_n(-_ARROW)} '
            f'{_n(-_ARROW * 0.55)}v{_n(_ARROW * 1.1)}z"/>'
        )
    lines = [(box.titles[0], "title"), *((title, "subtitle") for title in box.titles[1:2])]
    first = middle + (5.5 if len(lines) == 1 else -3)
    parts += [
        f'<text class="{kind} {_c(meaning)}" x="{_n(box.middle)}" y="{_n(first + 21 * number)}">'
        f"{escape(text)}</text>"
        for number, (text, kind) in enumerate(lines)
    ]
    return "".join([*parts, "</g>"])


def _legend(layout: Layout, height: float) -> str:
    y = height - _LEGEND / 2 - 4
    parts = [
        f'<path class="rule" d="M34 {_n(y - 20)}H{_n(layout.width - 34)}"/>',
    ]
    x = 34.0
    for draw, text in (
        (f'<path class="line event plain" d="M{{x}} {_n(y)}h30"/>', "on an event"),
        (f'<path class="line timed plain" d="M{{x}} {_n(y)}h30"/>', "when time has passed"),
    ):
        parts.append(draw.format(x=_n(x)))
        parts.append(f'<text class="detail" x="{_n(x + 38)}" y="{_n(y + 4)}">{text}</text>')
        x += 38 + width(text, DETAIL_SIZE) + 26
    parts.append(_mail(x, y - 5))
    parts.append(
        f'<text class="detail" x="{_n(x + 20)}" y="{_n(y + 4)}">plans so many messages</text>'
    )
    return "".join(parts)


def _told(track: Track) -> str:
    rule = track.rule
    guard = f" when {rule.guard}" if rule.guard else ""
    mails = f"; plans {', '.join(track.messages)}" if track.messages else ""
    return f"{rule.name}: {telling.trigger(rule)}{guard}, from {', '.join(rule.sources)} to {rule.to}{mails}"


def _style() -> str:
    fonts = (
        "system-ui,-apple-system,'Segoe UI',Roboto,'PingFang SC','Microsoft YaHei',"
        "'Noto Sans CJK SC','Noto Sans SC',sans-serif"
    )
    fixed = (
        f"text{{font-family:{fonts}}}"
        f".title{{font-size:{TITLE_SIZE:g}px;font-weight:650;text-anchor:middle}}"
        f".subtitle{{font-size:{SUBTITLE_SIZE:g}px;text-anchor:middle;opacity:.85}}"
        f".name{{font-size:{NAME_SIZE:g}px;font-weight:650}}"
        f".detail,.aside,.any,.guard{{font-size:{DETAIL_SIZE:g}px}}"
        ".guard{font-style:italic}"
        ".any{text-anchor:middle;font-weight:600}"
        ".line,.halo{fill:none;stroke-width:2;stroke-linecap:round}.halo{stroke-width:7}"
        ".timed{stroke-dasharray:7 5.5}"
        ".state{stroke-width:2}.inner{fill:none;stroke-width:1}"
        ".pill{stroke-width:1.5}"
        ".icon circle,.icon path,.mail rect,.mail path{fill:none;stroke-width:1.3;"
        "stroke-linecap:round;stroke-linejoin:round}"
        ".begin{fill:none;stroke-width:2}.rule{fill:none;stroke-width:1}"
    )
    day = _colours(DAY, paper="#ffffff", ink="#0f172a", soft="#475569", hair="#e2e8f0")
    night = _colours(NIGHT, paper="#0f172a", ink="#f1f5f9", soft="#a3b1c6", hair="#263449")
    return f"{fixed}{day}@media (prefers-color-scheme:dark){{{night}}}"


def _colours(
    meanings_: dict[Meaning, tuple[str, str, str]], *, paper: str, ink: str, soft: str, hair: str
) -> str:
    rules = [
        f".paper,.plate{{fill:{paper}}}",
        f".detail,.aside,.guard{{fill:{soft}}}.any{{fill:{ink}}}",
        f".name,.begin-tip{{fill:{ink}}}.halo{{stroke:{paper}}}",
        f".begin{{stroke:{ink}}}.rule{{stroke:{hair}}}",
        f".mail rect,.mail path{{stroke:{soft}}}.line.plain{{stroke:{soft}}}",
    ]
    for meaning, (line, fill, text) in meanings_.items():
        kind = _c(meaning)
        rules.append(
            f".line.{kind},.state.{kind},.inner.{kind},.pill.{kind},"
            f".icon.{kind} circle,.icon.{kind} path{{stroke:{line}}}"
            f".tip.{kind}{{fill:{line}}}"
            f".state.{kind},.pill.{kind}{{fill:{fill}}}"
            f".title.{kind},.subtitle.{kind}{{fill:{text}}}"
        )
    return "".join(rules)


def _c(meaning: Meaning) -> str:
    return f"is-{meaning}"


def _n(number: float) -> str:
    """A coordinate, to a tenth of a pixel, without trailing zeros."""
    return f"{number:.1f}".removesuffix(".0").replace("-0.0", "0")
