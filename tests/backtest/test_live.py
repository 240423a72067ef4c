"""A backtest says of every step and every letter what an installation did whose clock was driven.

Nothing is made easy: the policy that ships, with less room for letters, and
customers who enquire, buy, return, unsubscribe and close their accounts. The clock stops wherever
anything may happen: an event, a check, a letter that is due.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from lifecycle.domain.builtin import CONSENT_GIVEN, PROFILE_CHANGED
from lifecycle.domain.event import OUR_SOURCE, Event
from lifecycle.domain.fate import Fate
from lifecycle.domain.instant import BEGINNING
from lifecycle.domain.policy import Policy, PolicyVersion
from lifecycle.domain.timeline import Timeline
from lifecycle.engine.backtest.asking import Candidate, Period, backtest, recorded
from lifecycle.engine.backtest.course import Became, Courses, Letter, Ways
from lifecycle.engine.digest import digest
from lifecycle.engine.installation import Installation
from lifecycle.engine.sending.sender import Sender
from lifecycle.intake import simulate
from lifecycle.outreach.verdict import Reason
from lifecycle.policy import load
from lifecycle.resources import config_dir
from lifecycle.store import customers, events, messages
from lifecycle.store.messages import MessageRow
from tests.support.engine import arrive, installation, reach
from tests.support.office import next_instant, office

SHIPPED = (config_dir() / "policy.yaml").read_text(encoding="utf-8")
TIGHT = (
    SHIPPED.replace("{most: 3, within: 7d, class: marketing}", "{most: 1, within: 3d}")
    .replace("expires: 7d", "expires: 30h")
    .replace("# working_days:", "working_days:")
    .replace("holdout: {all: 0%}", "holdout: {all: 15%}")
    .replace("\nfacts:\n", "\nfacts:\n  letters_29d: {count: lifecycle.sent, within: 29d}\n")
    .replace(
        "    channels: [email, sms]\n    expires: 30h",
        "    channels: [email, sms]\n    when: letters_29d < 2\n    expires: 30h",
    )
)
"""With little room for letters, and a fact that counts them."""
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
DAYS = 330
CHANNELS = "channels: {{email: {{kind: outbox}}, sms: {{kind: outbox}}, task: {{kind: outbox}}}}"
WAYS = Ways(addresses={"email": "email", "sms": "phone", "task": None})


class Fared(NamedTuple):
    """What became of a message, whoever tells it."""

    became: str
    channel: str | None
    reason: str | None
    at: datetime | None  # when it left


def test_a_backtest_tells_of_each_letter_what_an_installation_did(
    database_url: str, tmp_path: Path
) -> None:
    for replaced in (
        "most: 1, within: 3d",
        "expires: 30h",
        "\n  working_days",
        "15%",
        "letters_29d <",
    ):
        assert replaced in TIGHT
    file = tmp_path / "policy.yaml"
    file.write_text(TIGHT, encoding="utf-8")
    policy = load(file).policy
    world = simulate.bulk(seed=29, customers=40, start=BEGIN, days=DAYS, policy=policy)
    happened = sorted(reachable(list(world)), key=lambda event: event.key)
    end = BEGIN + timedelta(days=DAYS)
    with (
        installation(database_url, TIGHT, f"{BEGIN:%Y-%m-%dT%H:%M:%SZ}") as inst,
        office(inst, tmp_path, 0, [], CHANNELS) as sender,
    ):
        live_through(inst, sender, happened, end)
        lived = digest(inst, end)
        rows, histories = recorded_of(inst)
        tried = backtest(
            Candidate.of(policy, "", "tight"),
            recorded(inst.db, database_url),
            WAYS,
            Period(until=end),
        )
    assert tried.digest == lived.hex
    courses = Courses(Timeline([version(policy)]), WAYS, end)
    letters = {
        (customer, *letter.message.key): letter
        for customer, history in histories.items()
        for letter in courses.of(customer, history).letters
    }
    assert {key: fared(letter) for key, letter in letters.items()} == rows
    became = Counter(one.became for one in rows.values())
    assert set(became) == set(Became), "each fate is met, or it would not be compared"
    reasons = {one.reason for one in rows.values()}
    assert {"no_address", "no_consent", "cancelled_by", "wrong_state"} <= reasons
    assert {letter.put_off for letter in letters.values()} >= {
        Reason.CAP,
        Reason.QUIET_HOURS,
        Reason.CLOSED_DAY,
    }
    assert tried.letters.sent == became["sent"] > 100


ZONES = ("Asia/Shanghai", "America/New_York", "Europe/Berlin")


def reachable(world: Sequence[Event]) -> Iterator[Event]:
    """Most customers also say how they are reached, and that they may be written to."""
    yield from world
    first: dict[str, Event] = {}
    for event in world:
        first.setdefault(event.customer, event)
    for number, (customer, event) in enumerate(first.items()):
        known = {"timezone": ZONES[number % 3]}
        if number % 5:
            known["email"] = f"{customer}@example.org"
        if number % 2:
            known["phone"] = "+8613800138000"
        told = event._replace(occurred_at=event.occurred_at - timedelta(seconds=1))
        yield told._replace(
            id=f"{customer}-profile", type=PROFILE_CHANGED, properties={"attributes": known}
        )
        if number % 4:
            agreed = {"purpose": "marketing", "channel": "all"}
            yield told._replace(id=f"{customer}-agrees", type=CONSENT_GIVEN, properties=agreed)


def version(policy: Policy) -> PolicyVersion:
    return PolicyVersion(number=1, hash="", effective_at=BEGINNING, policy=policy)


def live_through(
    inst: Installation, sender: Sender, happened: Sequence[Event], end: datetime
) -> None:
    """Each event arrives as it happens; the sender looks after whatever may bring it work."""
    by_instant: defaultdict[datetime, list[Event]] = defaultdict(list)
    for event in happened:
        by_instant[event.occurred_at].append(event._replace(received_at=event.occurred_at))
    for stop in sorted({*by_instant, end}):
        while (at := next_instant(inst)) is not None and at < stop:
            reach(inst, at)
            assert sender.send_due(60)
        reach(inst, stop)
        arrive(inst, *by_instant[stop])
        assert sender.send_due(60)


def recorded_of(
    inst: Installation,
) -> tuple[dict[tuple[str, str, str, int], Fared], dict[str, list[Event]]]:
    """What became of every message, and everybody's history, that of her letters included."""
    with inst.db.read() as tx:
        people = {row.id: row.key for row in customers.after_key(tx, "", 1000)}
        rows = {
            (people[who], *row.message.key): fared_live(row)
            for who, found in messages.of(tx, people).items()
            for row in found
        }
        histories = {
            people[who]: [stored.event for stored in history]
            for who, history in events.histories(tx, people)
        }
    told = [event for history in histories.values() for event in history]
    assert any(event.source == OUR_SOURCE for event in told), "what really was sent is recorded"
    return rows, histories


def fared(letter: Letter) -> Fared:
    return Fared(
        became=letter.became.value,
        channel=letter.channel,
        reason=None if letter.reason is None else letter.reason.value,
        at=letter.at if letter.became is Became.SENT else None,
    )


_WAITING = {Fate.QUEUED, Fate.DEFERRED}


def fared_live(row: MessageRow) -> Fared:
    sent = row.fate is Fate.SENT
    waiting = row.fate in _WAITING
    expired = row.fate is Fate.EXPIRED
    return Fared(
        became="waiting" if waiting else row.fate.value,
        channel=row.channel if sent else None,
        reason=None if sent or waiting else "expired" if expired else row.reason,
        at=row.sent_at,
    )
