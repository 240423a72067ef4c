"""What becomes of fetches, on both databases: an event once, a machine's never as hers."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest

from lifecycle.bootstrap import Engine
from lifecycle.domain.event import PREFETCHED, Event
from lifecycle.engine import fetches
from lifecycle.engine.explain.gather import explain
from lifecycle.engine.explain.letters import news
from lifecycle.engine.fetches import QUIET, page_of
from lifecycle.engine.reading import customer, health
from lifecycle.errors import Unavailable
from lifecycle.intake.native import read_batch
from lifecycle.outreach.channels.measuring import Measure
from lifecycle.outreach.fetching import SOON, Why
from lifecycle.outreach.tokens import Followed, Looked
from lifecycle.store import clock, events, handed
from lifecycle.store import fetches as store
from lifecycle.store.handed import Handed
from lifecycle.store.sql import Tx, both
from tests.intake.bad_input import NOW, POLICY, body, event
from tests.web.conftest import running
from tests.web.letters import Sent, left, send
from tests.web.test_ready import move

MEASURED = POLICY.replace(
    "states:",
    "facts:\n  clicks: {count: lifecycle.clicked, within: 90d}\n  opens: {count: lifecycle.opened}\nstates:",
)
BACK = both("UPDATE letter_fetch SET at = ? WHERE link = ?")
AT_ONCE = timedelta(0)


@pytest.fixture
def engine(database_url: str, tmp_path: Path) -> Iterator[Engine]:
    with running(database_url, tmp_path, MEASURED, secret=b"s" * 32) as engine:
        measure(engine)
        post(engine, event(id="1"))
        yield engine


@pytest.fixture
def sent(engine: Engine) -> Sent:
    """A letter that left a day ago."""
    letter = send(engine)
    left(engine, letter, timedelta(days=1))
    return letter


def measure(
    engine: Engine, *, opens: bool = True, clicks: bool = True, consent: str | None = None
) -> None:
    """From now on, as if it had been started anew."""
    measures = {"email": Measure(opens=opens, clicks=clicks, consent=consent)}
    engine.feedback = replace(engine.feedback, measures=measures)


def post(engine: Engine, *posted: Any) -> None:
    batch = read_batch(body(*posted), engine.policy(), engine.now(), "shop")
    engine.accept([item for item in batch.items if not isinstance(item, Exception)])
    engine.apply_pending()


def look(engine: Engine, sent: Sent, why: Why | None = None, consent: str | None = None) -> None:
    link = Looked(letter=sent.key, channel="email", consent=consent)
    fetches.note(engine.installation, engine.feedback, link, why)


def follow(
    engine: Engine,
    sent: Sent,
    number: int = 1,
    why: Why | None = None,
    *,
    consent: str | None = None,
    seconds: float = 0,
) -> None:
    """`seconds`: so long after what was followed just now."""
    target = f"https://shop.example/{number}?customer=anna"
    link = Followed(letter=sent.key, channel="email", consent=consent, number=number, target=target)
    fetches.note(engine.installation, engine.feedback, link, why)
    if seconds:
        engine.db.run(
            lambda tx: tx.run(
                BACK, tx.to_db(engine.db.clock(tx) + timedelta(seconds=seconds)), number
            )
        )


def settle(engine: Engine) -> int:
    return fetches.settle(
        engine.installation, engine.feedback.measures, quiet=timedelta(seconds=-60)
    )


def told(engine: Engine) -> list[tuple[str, dict[str, Any]]]:
    """What is recorded of her letters, without what is said of every letter."""
    with engine.db.read() as tx:
        found = events.all_of(tx, customer(engine.installation, "c1").number)
    plain = {"rule", "step", "channel", "message"}
    return [
        (
            each.event.type.removeprefix("lifecycle."),
            {name: v for name, v in each.event.properties.items() if name not in plain},
        )
        for each in found
        if each.event.source == "lifecycle"
    ]


def waiting(engine: Engine) -> int:
    with engine.db.read() as tx:
        return sum(map(len, store.of(tx, store.quiet(tx, engine.db.clock(tx), 100)).values()))


def test_an_open_and_a_click_are_events_that_facts_count(engine: Engine, sent: Sent) -> None:
    look(engine, sent)
    follow(engine, sent, 2)
    assert settle(engine) == 2
    with engine.db.read() as tx:
        (opened,) = [
            each.event
            for each in events.all_of(tx, sent.customer)
            if each.event.type == "lifecycle.opened"
        ]
    said = {"rule": "win-back", "step": 1, "channel": "email", "message": sent.message}
    assert opened.properties == said
    assert told(engine) == [
        ("clicked", {"link": 2, "url": "https://shop.example/2"}),
        ("opened", {}),
    ]
    assert waiting(engine) == 0
    engine.apply_pending()
    facts = customer(engine.installation, "c1").facts
    assert (facts["clicks"], facts["opens"]) == (1, 1)


def test_it_counts_once_however_often_she_looks(engine: Engine, sent: Sent) -> None:
    for _ in range(3):
        look(engine, sent)
        look(engine, sent)
        follow(engine, sent)
        settle(engine)
    assert [kind for kind, _ in told(engine)] == ["clicked", "opened"]
    assert waiting(engine) == 0


def test_what_is_judged_late_comes_in_late_and_does_not_wait(engine: Engine, sent: Sent) -> None:
    """It happened when it was fetched; whoever asks how long events wait hears of no hours."""
    look(engine, sent)
    later = NOW + timedelta(hours=3)
    move(engine, later)
    settle(engine)
    with engine.db.read() as tx:
        (opened,) = [e.event for e in events.all_of(tx, sent.customer) if e.event.source != "shop"]
        assert clock.lived_until(tx) == later
    assert (opened.occurred_at, opened.received_at) == (NOW, later)
    assert not health(engine.installation).overdue


def test_nothing_is_judged_before_it_has_been_quiet(engine: Engine, sent: Sent) -> None:
    follow(engine, sent)
    assert (
        fetches.settle(engine.installation, engine.feedback.measures, quiet=timedelta(hours=1)) == 0
    )
    assert (told(engine), waiting(engine)) == ([], 1)
    assert settle(engine) == 1


def test_a_letter_of_which_more_was_fetched_since_waits_as_a_whole(
    engine: Engine, sent: Sent
) -> None:
    follow(engine, sent, 1)
    follow(engine, sent, 2, seconds=30)
    assert fetches.settle(engine.installation, engine.feedback.measures, quiet=AT_ONCE) == 0
    assert told(engine) == []
    settle(engine)
    assert [kind for kind, _ in told(engine)] == ["clicked", "clicked"]


def test_what_is_fetched_while_it_is_being_judged_is_judged_with_the_rest(
    engine: Engine, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was quiet when somebody looked, and is not any more once it is her turn."""
    follow(engine, sent, 1)
    follow(engine, sent, 2, seconds=30)
    with monkeypatch.context() as late:
        looked = iter([[sent.message], []])
        late.setattr("lifecycle.store.fetches.quiet", lambda *_: next(looked))
        assert fetches.settle(engine.installation, engine.feedback.measures, quiet=AT_ONCE) == 0
    assert told(engine) == []
    assert settle(engine) == 2


@pytest.mark.parametrize("why", Why)
def test_what_a_machine_fetched_is_none_of_hers(engine: Engine, sent: Sent, why: Why) -> None:
    look(engine, sent, why)
    follow(engine, sent, 1, why)
    follow(engine, sent, 2, why, seconds=30)
    assert settle(engine) == 2
    machine = [("prefetched", {"what": what, "why": why.value}) for what in ("click", "open")]
    assert told(engine) == machine
    engine.apply_pending()
    facts = customer(engine.installation, "c1").facts
    assert (facts["clicks"], facts["opens"]) == (0, 0)


def test_she_may_still_open_what_a_machine_has_fetched_before(engine: Engine, sent: Sent) -> None:
    look(engine, sent, Why.PRIVACY)
    settle(engine)
    look(engine, sent, Why.PRIVACY)
    assert waiting(engine) == 0
    look(engine, sent)
    settle(engine)
    assert [kind for kind, _ in told(engine)] == ["opened", "prefetched"]


def test_nobody_has_read_a_letter_that_has_just_left(engine: Engine, sent: Sent) -> None:
    left(engine, sent, SOON - timedelta(seconds=9))
    look(engine, sent)
    follow(engine, sent)
    settle(engine)
    assert told(engine) == [
        ("prefetched", {"what": "click", "why": "soon"}),
        ("prefetched", {"what": "open", "why": "soon"}),
    ]
    left(engine, sent, SOON)
    look(engine, sent)
    settle(engine)
    assert ("opened", {}) in told(engine)


def test_a_letter_that_is_on_its_way_still_has_been_read_by_nobody(
    engine: Engine, sent: Sent
) -> None:
    """A filter looks at it before its server says that it takes it."""
    left(engine, sent, SOON * 3, answered=False)
    look(engine, sent)
    settle(engine)
    assert told(engine) == [("prefetched", {"what": "open", "why": "soon"})]


def test_who_follows_all_links_at_once_is_a_scanner(engine: Engine, sent: Sent) -> None:
    look(engine, sent)
    for number in (1, 2, 3):
        follow(engine, sent, number)
    settle(engine)
    assert told(engine) == [
        ("prefetched", {"what": "click", "why": "together"}),
        ("prefetched", {"what": "open", "why": "together"}),
    ]


def test_a_link_that_a_machine_asks_about_first_is_followed_by_it(
    engine: Engine, sent: Sent
) -> None:
    """`HEAD`, then `GET` by a browser's name; also where the letter was looked at so before."""
    for _ in range(2):
        follow(engine, sent, 1, Why.HEAD)
        follow(engine, sent, 1)
        look(engine, sent)
        settle(engine)
        assert told(engine) == [
            ("prefetched", {"what": "click", "why": "head"}),
            ("prefetched", {"what": "open", "why": "together"}),
        ]


def test_what_is_followed_while_a_scanner_follows_the_rest_is_followed_by_it(
    engine: Engine, sent: Sent
) -> None:
    follow(engine, sent, 2, Why.SCANNER)
    follow(engine, sent, 3, Why.SCANNER)
    follow(engine, sent, 1)
    follow(engine, sent, 4, seconds=10)
    settle(engine)
    assert told(engine) == [
        ("clicked", {"link": 4, "url": "https://shop.example/4"}),
        ("prefetched", {"what": "click", "why": "scanner"}),
    ]


def test_what_fetches_every_picture_says_nothing_of_links(engine: Engine, sent: Sent) -> None:
    look(engine, sent, Why.PRIVACY)
    follow(engine, sent)
    settle(engine)
    assert [kind for kind, _ in told(engine)] == ["clicked", "prefetched"]


def test_she_follows_one_after_the_other(engine: Engine, sent: Sent) -> None:
    follow(engine, sent, 1)
    follow(engine, sent, 2, seconds=10)
    settle(engine)
    assert [kind for kind, _ in told(engine)] == ["clicked", "clicked"]


def test_a_scanner_is_known_though_she_followed_one_of_the_links_before(
    engine: Engine, sent: Sent
) -> None:
    follow(engine, sent, 1)
    settle(engine)
    follow(engine, sent, 1)
    follow(engine, sent, 2)
    settle(engine)
    assert [kind for kind, _ in told(engine)] == ["clicked", "prefetched"]


def agreed(id: str, *, given: bool = True, channel: str = "email") -> Any:
    kind = "consent_given" if given else "consent_withdrawn"
    return event(id=id, type=kind, properties={"purpose": "measurement", "channel": channel})


def test_of_her_who_has_not_agreed_to_be_measured_nothing_is_recorded(
    engine: Engine, sent: Sent
) -> None:
    """Also where she has taken it back since the letter left."""

    def come(letter: Sent) -> int:
        look(engine, letter, consent="measurement")
        follow(engine, letter, consent="measurement")
        look(engine, letter, Why.PRIVACY, consent="measurement")
        recorded = settle(engine)
        assert waiting(engine) == 0
        return recorded

    other = send(engine, 2)
    left(engine, other, timedelta(days=1))
    assert come(sent) == 0
    post(engine, agreed("agreed", channel="all"))
    assert come(sent) == 3
    post(engine, agreed("withdrawn", given=False))
    assert come(other) == 0


def test_of_her_who_does_not_want_to_be_measured_nothing_is_even_noted(
    engine: Engine, sent: Sent
) -> None:
    follow(engine, sent, consent="measurement")
    look(engine, sent, consent="measurement")
    assert waiting(engine) == 0
    post(engine, agreed("agreed"))
    follow(engine, sent, consent="measurement")
    assert waiting(engine) == 1
    post(engine, agreed("withdrawn", given=False))
    assert (settle(engine), waiting(engine)) == (0, 0)


@pytest.mark.parametrize("is_noted", [True, False])
@pytest.mark.parametrize(
    ("opens", "clicks", "left"),
    [(False, True, ["clicked"]), (True, False, ["opened"]), (False, False, [])],
)
def test_what_is_measured_no_more_is_not_of_letters_that_left_before_either(
    engine: Engine, sent: Sent, opens: bool, clicks: bool, left: list[str], is_noted: bool
) -> None:
    """Nor where it has been noted by a process that was started before."""
    if not is_noted:
        measure(engine, opens=opens, clicks=clicks)
    look(engine, sent)
    follow(engine, sent)
    assert waiting(engine) == (2 if is_noted else len(left))
    measure(engine, opens=opens, clicks=clicks)
    settle(engine)
    assert ([kind for kind, _ in told(engine)], waiting(engine)) == (left, 0)


@pytest.mark.parametrize("is_noted", [True, False])
def test_a_channel_that_is_measured_no_more_is_not_at_all(
    engine: Engine, sent: Sent, is_noted: bool
) -> None:
    none = replace(engine.feedback, measures={})
    if not is_noted:
        engine.feedback = none
    follow(engine, sent)
    assert waiting(engine) == is_noted
    engine.feedback = none
    assert (settle(engine), waiting(engine)) == (0, 0)


@pytest.mark.parametrize("is_noted", [True, False])
def test_she_is_asked_for_what_is_asked_now_also_of_letters_that_left_before(
    engine: Engine, sent: Sent, is_noted: bool
) -> None:
    """And for what was asked then: a purpose that is taken out gives nobody away."""
    if not is_noted:
        measure(engine, consent="measurement")
    follow(engine, sent)
    assert waiting(engine) == is_noted
    measure(engine, consent="measurement")
    assert settle(engine) == 0
    post(engine, agreed("agreed"))
    follow(engine, sent)
    assert settle(engine) == 1


def test_of_a_letter_that_is_known_no_more_nothing_is_left(engine: Engine, sent: Sent) -> None:
    follow(engine, sent)
    engine.db.run(
        lambda tx: tx.run(both("DELETE FROM send_attempt WHERE message_id = ?"), sent.message)
    )
    assert settle(engine) == 0
    assert (told(engine), waiting(engine)) == ([], 0)


def test_a_letter_that_cannot_be_judged_holds_up_no_other(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    letters = [send(engine, number) for number in range(1, 4)]
    for letter in letters:
        left(engine, letter, timedelta(days=1))
        follow(engine, letter)
    of_message = handed.of_message

    def broken(tx: Tx, message: int, channel: str | None) -> Handed | None:
        if message == letters[1].message:
            raise ValueError("anna@example.com")
        return of_message(tx, message, channel)

    with monkeypatch.context() as defect:
        defect.setattr(handed, "of_message", broken)
        assert settle(engine) == 2
    assert (len(told(engine)), waiting(engine)) == (2, 0)
    assert f"of message {letters[1].message} could not be judged" in caplog.text
    ours = [each.getMessage() for each in caplog.records if each.name == "lifecycle"]
    assert not [line for line in ours if "anna" in line]


def test_while_the_database_is_away_nothing_that_was_fetched_is_forgotten(
    engine: Engine, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> NoReturn:
        raise Unavailable("the database does not answer")

    follow(engine, sent)
    with monkeypatch.context() as outage:
        outage.setattr(handed, "of_message", away)
        with pytest.raises(Unavailable):
            settle(engine)
    assert waiting(engine) == 1
    assert settle(engine) == 1


def test_a_link_that_led_elsewhere_before_is_told(
    engine: Engine, sent: Sent, caplog: pytest.LogCaptureFixture
) -> None:
    """The first place stands. That a machine was known otherwise before is nothing to tell."""
    follow(engine, sent)
    follow(engine, sent, 2, Why.HEAD, seconds=10)
    settle(engine)
    follow(engine, sent, 2, Why.SCANNER, seconds=10)
    link = Followed(
        letter=sent.key, channel="email", consent=None, number=1, target="https://b.example/"
    )
    fetches.note(engine.installation, engine.feedback, link, None)
    assert settle(engine) == 0
    warned = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    name = f"clicked:{sent.message}-1"
    assert warned == [
        f"{name} was recorded before with another content (properties.url), which stands"
    ]
    assert ("clicked", {"link": 1, "url": "https://shop.example/1"}) in told(engine)


def test_many_letters_are_judged_by_many_at_once_and_each_once(engine: Engine) -> None:
    letters = [send(engine, number) for number in range(1, 9)]
    for letter in letters:
        left(engine, letter, timedelta(days=1))
        look(engine, letter)
        follow(engine, letter)
    with ThreadPoolExecutor(4) as pool:
        recorded = sum(pool.map(lambda _: settle(engine), range(4)))
    assert recorded == len(told(engine)) == 2 * len(letters)
    assert waiting(engine) == 0


def test_explain_tells_of_it_in_words(engine: Engine, sent: Sent) -> None:
    look(engine, sent)
    follow(engine, sent, 2)
    follow(engine, sent, 3, Why.SCANNER, seconds=10)
    settle(engine)
    engine.apply_pending()
    story = "\n".join(explain(engine.installation, "c1").lines())
    assert "She opened win-back (email)." in story
    assert "She followed link 2 of win-back (email), to https://shop.example/2." in story
    assert (
        "A machine followed a link of win-back (email): a filter, a crawler or a previewer by its"
        " name." in story
    )
    assert "anna" not in story


def test_explain_says_why_as_it_stands_where_it_does_not_know_the_word() -> None:
    """Such as one of a newer version that ran before."""
    said = {"rule": "win-back", "step": 1, "channel": "email", "what": "open", "why": "sniffed"}
    event = Event("lifecycle", "x", "c1", PREFETCHED, NOW, NOW, said)
    assert news(event) == "A machine opened win-back (email): sniffed"


@pytest.mark.parametrize(
    ("target", "page"),
    [
        ("https://shop.example/a?b=c#d", "https://shop.example/a"),
        ("https://anna:secret@shop.example/a", "https://shop.example/a"),
        ("https://shop.example#a", "https://shop.example"),
        ("https://shop.example?a@b", "https://shop.example"),
        ("HTTP://shop.example/" + "a" * 900, "HTTP://shop.example/" + "a" * 480),
    ],
)
def test_of_a_link_only_its_page_is_kept(target: str, page: str) -> None:
    assert page_of(target) == page


@pytest.mark.parametrize(
    "segment",
    [
        "anna@example.com",
        "anna%40example.com",
        "anna%2540example.com",
        "%61nna%40example.com",
        "a;mail=anna@example.com",
        "13800138000",
        "+86-138-0013-8000",
        "%2B86%20138%200013%208000",
        "order-202611290001234",
        "a;jsessionid=0F9A6B1C2D3E4F5A",
        "0f9a6b1c2d3e4f5a6b7c8d9e",
        "550e8400-e29b-41d4-a716-4466554400ab",
        "Zk3Vb9x0QmT7rLw2",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "dGhpc0lzQVRva2VuT25seU9mTGV0dGVycw==",
        "-Xq_RtYzPwNb-KdVmLcGhJf",
    ],
)
def test_what_looks_like_hers_in_a_path_is_left_out(segment: str) -> None:
    for path, kept in (
        ("/{}", "/…"),
        ("/magic-login/{}/go", "/magic-login/…/go"),
        ("//{}/", "//…/"),
    ):
        page = f"https://shop.example{kept}"
        assert page_of(f"https://shop.example{path.format(segment)}?a=b") == page


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/products/1234567/winter-boots-size-42",
        "/blog/2026/11/29/how-we-made-the-spring-collection-of-2027",
        "/2026-11-29",
        "/zh-CN/sale/%E8%B7%AF",
        "/iphone15promax/index.html",
        "/terms_and_conditions_of_sale.html",
        "/v1.2.3/",
    ],
)
def test_a_path_that_says_nothing_of_her_stays(path: str) -> None:
    assert page_of(f"https://shop.example{path}") == f"https://shop.example{path}"


def test_it_waits_longer_than_a_scanner_takes_from_one_link_to_the_next() -> None:
    from lifecycle.outreach.fetching import TOGETHER

    assert QUIET > TOGETHER
