"""A customer is walked through all seven states, and gets exactly the messages of the default policy.

Everything is real: the policy and the texts that ship, the engine, the sender, the processes that fill
templates in, and e-mail by SMTP to a server of the tests. Only the clock is made up, and moved by hand
from one instant to the next at which anything may happen.

What she gets is written in `golden/`, every word of it read by a person. After a change on purpose, look
at what `GOLDEN=write pytest tests/outreach/test_walk.py` makes of it with `git diff`.
"""

from __future__ import annotations

import email
import email.policy
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from lifecycle.domain.fate import Fate
from lifecycle.domain.policy import Policy
from lifecycle.engine import tasks
from lifecycle.engine.installation import Installation
from lifecycle.engine.sending import request
from lifecycle.engine.sending.sender import Sender
from lifecycle.outreach.assignment import held_out
from lifecycle.outreach.letter import Letter
from lifecycle.policy import load
from lifecycle.resources import config_dir
from lifecycle.store import sending
from lifecycle.store.messages import MessageRow
from tests.outreach.lives import ASKED, BEGIN, END, STATES, WOMEN, Woman, life
from tests.support.engine import arrive, installation, message_rows, reach, state
from tests.support.office import PUBLIC_URL, next_instant, office
from tests.support.smtp import SmtpServer, Taken

POLICY_TEXT = (config_dir() / "policy.yaml").read_text(encoding="utf-8")
POLICY = load(config_dir() / "policy.yaml").policy
GOLDEN = Path(__file__).parent / "golden"


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """One thing that reached somebody: a mail her, a short message her, or a task its owner."""

    to: str
    subject: str | None
    text: str


@pytest.mark.parametrize("woman", WOMEN, ids=lambda woman: woman.language)
def test_a_customer_walked_through_all_states_gets_exactly_the_messages_of_the_policy(
    database_url: str, tmp_path: Path, woman: Woman
) -> None:
    key = woman.key(POLICY)
    assert not any(held_out(rule, key, POLICY.sending) for rule in POLICY.outreach)
    shown: list[Letter] = []
    with (
        SmtpServer() as server,
        installation(database_url, POLICY_TEXT, clock=f"{BEGIN:%Y-%m-%dT%H:%M:%SZ}") as inst,
        office(inst, tmp_path, server.port, shown) as sender,
    ):
        states = walk(inst, sender, woman, key)
        rows = message_rows(inst, key)
        letters = keys_of(inst, rows)
        got = {taken.key: mailed(taken) for taken in server.taken}
        got |= {one.key: texted(one) for one in shown}
        got |= {one.key: asked(one) for one in tasks.list_tasks(inst.db).tasks}
    assert states == [name for name, _ in STATES]
    assert set(server.counts.values()) == {1}
    assert got.keys() == set(letters.values())
    assert {letters[row.row_id] for row in rows if row.fate is Fate.SENT} == got.keys()
    assert {one.to for one in got.values()} == {
        f"{woman.language}@example.org",
        "+8613800138000",
        woman.owner,
    }
    assert {row.message.rule for row in rows if row.fate is Fate.SENT} == rules_of(POLICY)
    agrees(woman.language, "\n".join(told(woman, rows, letters, got)))


def rules_of(policy: Policy) -> set[str]:
    return {rule.name for rule in policy.outreach}


# -- the walk --------------------------------------------------------------------------------


def walk(inst: Installation, sender: Sender, woman: Woman, key: str) -> list[str]:
    """Her states at the instants of `STATES`; the clock stops wherever anything may happen."""
    events = list(life(woman, key))
    looks = [datetime.fromisoformat(at).replace(tzinfo=UTC) for _, at in STATES]
    known = sorted({event.occurred_at for event in events} | ASKED.keys() | {*looks, END})
    states = []
    for stop in known:
        while (at := next_instant(inst)) is not None and at < stop:
            reach(inst, at)
            assert sender.send_due(60)
        reach(inst, stop)
        arrive(inst, *(event for event in events if event.occurred_at == stop))
        if stop in ASKED:
            request.request(inst, ASKED[stop], [key], name="walk", by="olga")
            reach(inst, stop)
        assert sender.send_due(60)
        if stop in looks:
            states.append(state(inst, key))
    return states


# -- what came of it -------------------------------------------------------------------------


def keys_of(inst: Installation, rows: Sequence[MessageRow]) -> dict[int, str]:
    """The key of the letter of each message that was handed over; each was, once at the most."""
    with inst.db.read() as tx:
        tried = sending.attempts_of(tx, [row.row_id for row in rows])
    assert all(len(attempts) == 1 for attempts in tried.values())
    return {row_id: attempts[0].letter for row_id, attempts in tried.items()}


def mailed(taken: Taken) -> Got:
    mail = email.message_from_bytes(taken.content, policy=email.policy.default)
    text = mail.get_body(("plain",))
    assert text is not None
    assert mail.get_body(("html",)) is not None
    (to,) = taken.recipients
    return Got(to=to, subject=mail["Subject"], text=text.get_content())


def texted(letter: Letter) -> Got:
    return Got(to=letter.to.address, subject=None, text=letter.content.text)


def asked(task: tasks.Task) -> Got:
    return Got(to=task.owner or "", subject=task.title, text=task.text)


def told(
    woman: Woman, rows: Sequence[MessageRow], letters: dict[int, str], got: dict[str, Got]
) -> Iterator[str]:
    """First a line for every message that was planned, then each as it was read."""
    zone = ZoneInfo(woman.zone)
    in_time = sorted(rows, key=lambda row: (row.sent_at or row.fate_at, row.message.rule))
    yield f"# {woman.name}, {woman.zone}\n"
    for fate, number in sorted(Counter(row.fate for row in rows).items()):
        yield f"{number} {fate}"
    yield ""
    yield from (line(row, zone) for row in in_time)
    for row in in_time:
        if row.row_id in letters:
            one = got[letters[row.row_id]]
            yield f"\n{'=' * 100}\n{line(row, zone)}\nto: {one.to}"
            if one.subject is not None:
                yield f"subject: {one.subject}"
            yield f"\n{readable(one.text)}"


def line(row: MessageRow, zone: ZoneInfo) -> str:
    """By her own clock."""
    at = (row.sent_at or row.fate_at).astimezone(zone)
    how = row.channel if row.fate is Fate.SENT else f"{row.fate}: {row.reason}"
    which = f"{row.message.rule} {row.message.number}" + (
        f" ({row.variant})" if row.variant else ""
    )
    return f"{at:%a %Y-%m-%d %H:%M:%S}  {which:32} {how}"


def readable(text: str) -> str:
    """Without the signatures of links, and what mail adds at the ends of lines."""
    text = re.sub(rf"({re.escape(PUBLIC_URL)}/[us]/)[\w.~-]+", r"\1…", text)
    return "\n".join(each.rstrip() for each in text.replace("\r\n", "\n").strip().split("\n"))


def agrees(name: str, found: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(found + "\n", encoding="utf-8")
    assert found + "\n" == path.read_text(encoding="utf-8")
