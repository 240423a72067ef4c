"""Where does everything stand? Pure geometry; `svg` draws it.

All states stand in one row from left to right, in the order of the file. Each rule has a track of its
own, parallel to the row, as a railway map has lines: rules that lead to the right run above the row,
those that lead back run below. A rule with several sources is one track that collects them, so the
number of labels is the number of rules. Tracks are packed into lanes without overlap, labels included,
and a label moves along its track until no other line passes through it. So nothing overlaps, however
many rules there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from lifecycle.domain.policy import After, Policy, TransitionRule
from lifecycle.policy.diagram import telling
from lifecycle.policy.diagram.measure import width, wrapped

NAME_SIZE = 13.0
DETAIL_SIZE = 11.5
TITLE_SIZE = 16.0
SUBTITLE_SIZE = 13.0
LINE = 15.5  # from one line of a label to the next
PILL = 84.0  # width of the sign "any stage"
PILL_HEIGHT = 22.0
CLOCK = 16.0  # what the sign of a timed check takes, left of its name
BEGIN = 30.0  # what the sign of the beginning takes, left of its state

LEAST_WIDTH = 560.0  # the legend needs as much

_MARGIN = 34.0
_GAP = 58.0  # between states, at least
_BOX_HEIGHT = 72.0
_BOX_LEAST = 128.0
_PORT = 17.0  # between two lines that touch the same state
_CLEAR = 9.0  # between a label and a line that passes
_LANE_CLEAR = 11.0  # between the text of a label and the next track
_ROUNDS = 40  # of arranging; each keeps more tracks apart, and a few are enough
_FIRST_LANE = 24.0  # between the row and the nearest track

UP, DOWN = -1, 1


@dataclass(slots=True)
class Box:
    """A state."""

    name: str
    titles: tuple[str, ...]
    initial: bool
    final: bool
    x: float = 0.0  # of the left edge
    width: float = _BOX_LEAST

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@dataclass(slots=True)
class Track:
    """A rule."""

    index: int  # in the policy
    rule: TransitionRule
    timed: bool
    messages: tuple[str, ...]
    sources: tuple[int, ...]  # columns
    target: int
    pill: bool  # from every state but the target
    side: int = UP
    lane: int = 0
    ports: dict[int, float] = field(default_factory=dict)  # column → x
    head: str = ""  # first line of the label, with the parts below
    aside: str = ""  # second part of the first line, in other languages
    details: tuple[str, ...] = ()  # further lines
    label_x: float = 0.0  # of the left edge of the label
    pill_x: float = 0.0  # of the left edge of the pill
    y: float = 0.0  # of the track

    @property
    def columns(self) -> tuple[int, ...]:
        return (self.target,) if self.pill else (*self.sources, self.target)

    @property
    def label_width(self) -> float:
        return max(self.head_width, *(width(line, DETAIL_SIZE) for line in self.details), 0.0)

    @property
    def head_width(self) -> float:
        clock = CLOCK if self.timed else 0.0
        aside = width(self.aside, DETAIL_SIZE) + 7 if self.aside else 0.0
        return clock + self.mail_width + width(self.head, NAME_SIZE, bold=True) + aside

    @property
    def mail_width(self) -> float:
        return 22.0 + width(str(len(self.messages)), DETAIL_SIZE) if self.messages else 0.0

    @property
    def label_height(self) -> float:
        return LINE * (1 + len(self.details))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    boxes: tuple[Box, ...]
    tracks: tuple[Track, ...]
    width: float
    height: float
    row: float  # y of the top edge of the states
    box_height: float


def laid_out(policy: Policy) -> Layout:
    boxes = [_box(policy, index) for index in range(len(policy.states))]
    tracks = [_track(policy, index) for index in range(len(policy.transitions))]
    _choose_sides(tracks)
    _widen(boxes, tracks)
    _place_boxes(boxes)
    for side in (UP, DOWN):
        _arrange([track for track in tracks if track.side == side], boxes)
    row, bottom = _place_lanes(tracks)
    starts = [box.x - BEGIN for box in boxes if box.initial]
    shift = _MARGIN - min([0.0, *starts, *(_left(track) for track in tracks)])
    _move(boxes, tracks, shift)
    right = max([box.x + box.width for box in boxes] + [_right(track) for track in tracks])
    return Layout(
        boxes=tuple(boxes),
        tracks=tuple(tracks),
        width=max(right + _MARGIN, LEAST_WIDTH),
        height=bottom,
        row=row,
        box_height=_BOX_HEIGHT,
    )


def _box(policy: Policy, index: int) -> Box:
    state = policy.states[index]
    titles = telling.titles(state)[:2]
    widest = max(
        width(titles[0], TITLE_SIZE, bold=True),
        *(width(title, SUBTITLE_SIZE) for title in titles[1:]),
        0.0,
    )
    return Box(
        name=state.name,
        titles=titles,
        initial=state.initial,
        final=state.final,
        width=max(_BOX_LEAST, widest + 28),
    )


def _track(policy: Policy, index: int) -> Track:
    rule = policy.transitions[index]
    columns = {state.name: column for column, state in enumerate(policy.states)}
    sources = tuple(sorted(columns[source] for source in rule.sources))
    return Track(
        index=index,
        rule=rule,
        timed=isinstance(rule.trigger, After),
        messages=telling.messages(policy, rule),
        sources=sources,
        target=columns[rule.to],
        pill=len(sources) > 2 and len(sources) == len(columns) - 1,
        head=rule.name,
        aside=" ".join(telling.other_labels(rule)[:1]),
    )


def _choose_sides(tracks: Sequence[Track]) -> None:
    """Forward above, back below; what does both goes with the larger part of its sources."""
    for track in tracks:
        forward = sum(source < track.target for source in track.sources)
        track.side = UP if 2 * forward >= len(track.sources) and not track.pill else DOWN


def _widen(boxes: Sequence[Box], tracks: Sequence[Track]) -> None:
    for column, box in enumerate(boxes):
        for side in (UP, DOWN):
            touching = sum(column in t.columns for t in tracks if t.side == side)
            box.width = max(box.width, (touching + 1) * _PORT + 12)


def _place_boxes(boxes: Sequence[Box]) -> None:
    x = 0.0
    for box in boxes:
        box.x = x
        x += box.width + _GAP


def _arrange(tracks: Sequence[Track], boxes: Sequence[Box]) -> None:
    """Lanes, then ports, then labels; tracks that still meet in a lane are kept apart, once more."""
    apart: set[tuple[int, int]] = set()
    for _ in range(_ROUNDS):
        _pack(tracks, boxes, apart)
        _place_ports(tracks, boxes)
        _place_labels(tracks)
        met = set(_meetings(tracks)) - apart
        if not met:
            return
        apart |= met


def _pack(tracks: Sequence[Track], boxes: Sequence[Box], apart: set[tuple[int, int]]) -> None:
    """Short tracks next to the row; each in the nearest lane in which it overlaps nothing."""
    lanes: list[list[Track]] = []
    spans = {track.index: _span(track, boxes) for track in tracks}

    def fits(track: Track, other: Track) -> bool:
        (left, right), (a, b) = spans[track.index], spans[other.index]
        pair = (min(track.index, other.index), max(track.index, other.index))
        return pair not in apart and (right <= a or left >= b)

    def length(track: Track) -> tuple[float, int]:
        left, right = spans[track.index]
        return (round(right - left, 3), track.index)

    for track in sorted(tracks, key=length):
        for number, held in enumerate(lanes):
            if all(fits(track, other) for other in held):
                track.lane = number
                held.append(track)
                break
        else:
            track.lane = len(lanes)
            lanes.append([track])


def _meetings(tracks: Sequence[Track]) -> Iterator[tuple[int, int]]:
    """Pairs in the same lane of which one, with its label, reaches into the other."""
    for place, track in enumerate(tracks):
        for other in tracks[:place]:
            if (
                track.lane == other.lane
                and _left(track) < _right(other) + _CLEAR
                and _left(other) < _right(track) + _CLEAR
            ):
                yield (min(track.index, other.index), max(track.index, other.index))


def _span(track: Track, boxes: Sequence[Box]) -> tuple[float, float]:
    """The stretch of its lane that a track needs, label and sign included."""
    middles = [boxes[column].middle for column in track.columns]
    left, right = min(middles), max(middles)
    _write(track, max(right - left - 2 * _CLEAR, 150.0))
    need = track.label_width + 2 * _CLEAR
    if track.pill:
        room = need + PILL + 24
        return (right - room, right) if right >= room else (left, left + room)
    missing = max(0.0, need - (right - left)) / 2
    return left - missing, right + missing


def _write(track: Track, most: float) -> None:
    """Break the label into lines no wider than `most`."""
    lines = wrapped(telling.trigger_parts(track.rule), DETAIL_SIZE, most)
    lines += wrapped(telling.guard_parts(track.rule), DETAIL_SIZE, most)
    if len(lines) == 2 and width(" · ".join(lines), DETAIL_SIZE) <= most:
        lines = [" · ".join(lines)]
    track.details = tuple(lines[:4]) if len(lines) <= 4 else (*lines[:3], lines[3] + " …")


def _place_ports(tracks: Sequence[Track], boxes: Sequence[Box]) -> None:
    """Where each track touches each state, ordered so that lines from one state do not cross."""
    for column, box in enumerate(boxes):
        touching = [track for track in tracks if column in track.columns]

        def order(track: Track, column: int = column) -> tuple[float, float]:
            others = [other for other in track.columns if other != column]
            if track.pill:
                others = [-1]
            to_left = any(other < column for other in others)
            to_right = any(other > column for other in others)
            if to_left and to_right:
                return (1, track.lane)
            return (0, track.lane) if to_left else (2, -track.lane)

        touching.sort(key=order)
        step = min(26.0, (box.width - 24) / max(1, len(touching)))
        first = box.middle - step * (len(touching) - 1) / 2
        for place, track in enumerate(touching):
            track.ports[column] = first + place * step


def _place_labels(tracks: Sequence[Track]) -> None:
    for track in tracks:
        passing = sorted(
            x for other in tracks if other.lane > track.lane for x in other.ports.values()
        )
        left, right = _stretch(track)
        if track.pill:
            _place_pill(track)
            continue
        for most in (right - left - 2 * _CLEAR, 190.0, 150.0, 120.0):
            _write(track, max(120.0, min(most, right - left - 2 * _CLEAR)))
            place = _free_place(track.label_width, left, right, passing)
            if place is not None:
                track.label_x = place
                break
        else:  # wider than its track: in the middle of it, on a plate that interrupts what passes
            track.label_x = (left + right - track.label_width) / 2


def _place_pill(track: Track) -> None:
    port = track.ports[track.target]
    _write(track, 200.0)
    room = track.label_width + PILL + 30
    if port >= room:
        track.pill_x = port - room - 2
        track.label_x = track.pill_x + PILL + 12
    else:
        track.pill_x = port + room - PILL
        track.label_x = track.pill_x - 12 - track.label_width


def _stretch(track: Track) -> tuple[float, float]:
    return min(track.ports.values()), max(track.ports.values())


def _free_place(need: float, left: float, right: float, passing: Sequence[float]) -> float | None:
    """The left edge nearest to the middle at which a label meets no passing line."""
    inside = [x for x in passing if left < x < right]
    edges = [left, *inside, right]
    middle = (left + right - need) / 2
    best: float | None = None
    for a, b in pairwise(edges):
        if b - a < need + 2 * _CLEAR:
            continue
        place = min(max(middle, a + _CLEAR), b - _CLEAR - need)
        if best is None or abs(place - middle) < abs(best - middle):
            best = place
    return best


def _place_lanes(tracks: Sequence[Track]) -> tuple[float, float]:
    """The y of each track; gives that of the row's top edge, and the height of it all."""
    reach = {UP: 0.0, DOWN: 0.0}
    offsets: dict[tuple[int, int], float] = {}
    for side in (UP, DOWN):
        for lane in range(max((t.lane for t in tracks if t.side == side), default=-1) + 1):
            held = [track for track in tracks if (track.side, track.lane) == (side, lane)]
            lead = _LANE_CLEAR if lane else _FIRST_LANE
            lead += 6 if any(track.pill for track in held) else 0
            offsets[side, lane] = reach[side] + lead
            # labels stand on the far side of their line
            reach[side] += lead + max(track.label_height for track in held) + 5
    row = _MARGIN + reach[UP]
    bottom = row + _BOX_HEIGHT + max(reach[DOWN], 12.0)
    for track in tracks:
        offset = offsets[track.side, track.lane]
        track.y = row - offset if track.side == UP else row + _BOX_HEIGHT + offset
    return row, bottom + 22


def _left(track: Track) -> float:
    return min([track.label_x, *track.ports.values()] + ([track.pill_x] if track.pill else []))


def _right(track: Track) -> float:
    ends = [track.label_x + track.label_width, *track.ports.values()]
    return max(ends + ([track.pill_x + PILL] if track.pill else []))


def _move(boxes: Sequence[Box], tracks: Sequence[Track], by: float) -> None:
    for box in boxes:
        box.x += by
    for track in tracks:
        track.label_x += by
        track.pill_x += by
        track.ports = {column: x + by for column, x in track.ports.items()}
