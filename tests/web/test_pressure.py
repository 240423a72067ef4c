"""Too much at once: row 29. Who is refused for now, in which words, and who is not slowed by it."""

from __future__ import annotations

import asyncio
import http.client
import json
import select
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.domain.scope import Scope
from lifecycle.engine import accept
from lifecycle.engine.accept import Result
from lifecycle.engine.backlog import LOOK_EVERY, Backlog
from lifecycle.engine.group_commit import GroupCommit
from lifecycle.engine.shares import Shares
from lifecycle.errors import Overloaded, Problem, Unavailable
from lifecycle.intake.draft import Draft
from lifecycle.intake.native import read_batch
from lifecycle.metrics import Metrics
from lifecycle.web.allowance import Allowance
from lifecycle.web.body import read_json_body
from lifecycle.web.events import READERS
from tests.engine.test_group_commit import Time
from tests.intake.bad_input import body, event
from tests.support.metrics import of, read
from tests.web.conftest import running, serving
from tests.web.test_door import bearer, count, key, refused

PUSHED_BACK = "posts_pushed_back_total"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with running(f"sqlite:///{tmp_path / 'test.db'}", tmp_path, observer=Metrics()) as engine:
        yield engine


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal is told at once: how long it is held back is told of an allowance."""
    monkeypatch.setattr("lifecycle.web.allowance.HELD_SECONDS", 0)


class Gate:
    """Commits of an engine, each of which ends when the test lets it."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commits: list[list[str]] = []
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self.queued = threading.Semaphore(0)
        self._accept, submit = engine.accept, GroupCommit.submit

        def queued(*given: Any, **more: Any) -> Future[list[Result]]:
            future = submit(*given, **more)
            self.queued.release()
            return future

        monkeypatch.setattr(engine, "accept", self.accept)
        monkeypatch.setattr(GroupCommit, "submit", queued)

    def accept(self, drafts: Sequence[Draft]) -> list[Result]:
        self.commits.append([draft.event.id for draft in drafts])
        self.begun.release()
        assert self.may_end.acquire(timeout=60)
        return self._accept(drafts)

    def until_queued(self, posts: int) -> None:
        for _ in range(posts):
            assert self.queued.acquire(timeout=60)

    def open(self) -> None:
        self.may_end.release(10_000)


def poster(client: httpx.Client, shown: str) -> Callable[[bytes], httpx.Response]:
    def post(content: bytes) -> httpx.Response:
        headers = bearer(shown) | {"Content-Type": "application/json"}
        return httpx.post(
            f"{client.base_url}/v1/events", content=content, headers=headers, timeout=60
        )

    return post


def pushed_back(client: httpx.Client, shown: str, name: str, limit: str) -> float | None:
    page = client.get("/metrics", headers=bearer(shown)).text
    return of(read(page), PUSHED_BACK, {"key": name, "limit": limit})


# -- who is refused


def test_a_key_over_its_budget_is_told_which_and_when_to_come_again(engine: Engine) -> None:
    """And nothing of what was refused is stored; another key has a budget of its own."""
    shop = key(engine, Scope.EVENTS_WRITE, events_per_second=0.01, burst=2)
    crm = key(engine, *Scope, name="crm")
    with serving(engine) as client:
        post, other = poster(client, shop), poster(client, crm)
        assert post(body(event(id="a"), event(id="b"))).status_code == 200
        answer = post(body(event(id="c")))
        assert other(body(event(id="d"))).status_code == 200
        assert pushed_back(client, crm, "shop", "events_per_second") == 1
    problem = refused(answer)
    assert (problem["status"], problem["code"]) == (429, "rate_limited")
    assert problem["limit"] == "events_per_second"
    assert 90 <= int(answer.headers["retry-after"]) <= 100
    assert problem["detail"].endswith("; nothing was changed")
    assert count(engine) == 3


def test_a_post_over_budget_is_refused_before_it_is_read(engine: Engine) -> None:
    """So that what is refused costs next to nothing, and a bad body is not told either."""
    shop = key(engine, Scope.EVENTS_WRITE, events_per_second=0.01, burst=1)
    with serving(engine) as client:
        post = poster(client, shop)
        assert refused(post(b"{"))["code"] == "json_syntax"
        assert refused(post(b"{"))["code"] == "rate_limited"


def test_a_body_that_cannot_be_read_costs_one_event_of_the_budget(engine: Engine) -> None:
    """However many the posts before it had."""
    shop = key(engine, Scope.EVENTS_WRITE, events_per_second=0.001, burst=8)
    large = body(*(event(id=str(number)) for number in range(5)))
    with serving(engine) as client:
        post = poster(client, shop)
        assert post(large).status_code == 200
        assert [refused(post(b"{"))["code"] for _ in range(4)] == ["json_syntax"] * 3 + [
            "rate_limited"
        ]


@pytest.mark.parametrize("limit", ["backlog", "waiting", "bodies", "away"])
def test_what_is_told_to_come_again_costs_nothing_of_the_budget(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    """A budget is used up by what is taken in, and not by a server that can take nothing in."""
    shop = key(engine, Scope.EVENTS_WRITE, events_per_second=0.001, burst=3)
    three = body(*(event(id=str(number)) for number in range(3)))
    with serving(engine) as client:
        post = poster(client, shop)
        with monkeypatch.context() as later:
            _takes_nothing(later, engine, limit)
            answers = [post(three) for _ in range(3)]
        assert post(three).json()["accepted"] == 3
        assert post(three).status_code == 429
    told = {"away": (503, None), "backlog": (503, "backlog")}.get(limit, (429, limit))
    assert {(answer.status_code, answer.json().get("limit")) for answer in answers} == {told}


def _takes_nothing(patch: pytest.MonkeyPatch, engine: Engine, limit: str) -> None:
    """Each bound refuses where it is met: before, while and after the body is read."""

    def refuses(*_: object, **__: object) -> NoReturn:
        raise {
            "backlog": Overloaded(limit, "too many wait", retry_after=1),
            "waiting": Problem("rate_limited", "too many wait", status=429, limit=limit),
            "bodies": Problem("rate_limited", "too much in hand", status=429, limit=limit),
            "away": Unavailable("the database is away"),
        }[limit]

    if limit == "bodies":
        patch.setattr("lifecycle.web.events.read_json_body", refuses)
    elif limit == "waiting":
        patch.setattr(GroupCommit, "submit", refuses)
    elif limit == "backlog":
        patch.setattr(engine, "refuse_if_behind", refuses)
    else:
        patch.setattr(accept, "accept", refuses)


def test_while_a_refusal_is_held_back_its_body_takes_no_room(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second is long: a key over its share would fill the memory for bodies by being refused."""

    class Body(bytearray):
        """One that can be looked after."""

    free: list[int] = []
    gone: list[bool] = []
    read: list[weakref.ref[Body]] = []
    bodies = Shares(1024 * 1024)

    async def hold_back(_: Allowance) -> None:
        free.append(bodies.free)
        gone.append(all(each() is None for each in read))

    async def remembered(*given: Any) -> Body:
        body = Body(await read_json_body(*given))
        read.append(weakref.ref(body))
        return body

    monkeypatch.setattr("lifecycle.web.events.read_json_body", remembered)

    monkeypatch.setattr("lifecycle.web.allowance.Shares", lambda _: bodies)
    monkeypatch.setattr(Allowance, "hold_back", hold_back)
    with serving(engine) as client, monkeypatch.context() as later:
        _takes_nothing(later, engine, "backlog")
        answer = poster(client, "any")(body(event(id="a")) + b" " * 100_000)
    assert (answer.status_code, free, gone, len(read)) == (503, [1024 * 1024], [True], 1)


def test_a_full_queue_refuses_its_own_key_and_takes_what_others_post(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing can be committed: memory is bounded, and a key that waits its turn has room."""
    gate = Gate(engine, monkeypatch)
    shop, crm = key(engine, Scope.EVENTS_WRITE), key(engine, *Scope, name="crm")
    full = [body(*(event(id=f"{n}-{i}") for i in range(2_500))) for n in range(4)]
    with serving(engine) as client, ThreadPoolExecutor(5) as pool:
        post, other = poster(client, shop), poster(client, crm)
        answers = [pool.submit(post, full[0])]
        assert gate.begun.acquire(timeout=60)
        answers += [pool.submit(post, content) for content in full[1:3]]
        gate.until_queued(3)
        problem = refused(answer := post(full[3]))
        light = pool.submit(other, body(event(id="light")))
        gate.until_queued(1)
        assert pushed_back(client, crm, "shop", "waiting") == 1
        gate.open()
        assert {each.result(60).status_code for each in (*answers, light)} == {200}
        assert post(full[3]).status_code == 200, "room again"
    assert (problem["status"], problem["limit"]) == (429, "waiting")
    assert answer.headers["retry-after"] == "1"
    assert "light" in gate.commits[1]
    assert count(engine) == 4 * 2_500 + 1


def test_bodies_in_hand_are_bounded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender that begins many bodies and ends none fills no memory, and no other's share."""
    monkeypatch.setattr("lifecycle.web.allowance.BODIES", 1024 * 1024)
    shop, crm = key(engine, Scope.EVENTS_WRITE), key(engine, Scope.EVENTS_WRITE, name="crm")
    content = body(event(id="shop")) + b" " * 300_000
    with serving(engine) as client, ExitStack() as stack:
        begun = [
            stack.enter_context(closing(_begun(client, shop, content, 280_000))) for _ in range(3)
        ]
        refusals = [_refused_first(begun) for _ in range(2)]
        assert poster(client, crm)(body(event(id="crm"))).status_code == 200
        (last,) = begun
        last.send(content[280_000:])
        assert last.getresponse().status == 200
    for status, problem in refusals:
        assert (status, problem["code"], problem["limit"]) == (429, "rate_limited", "bodies")
    assert count(engine) == 2


def _begun(
    client: httpx.Client, shown: str, content: bytes, size: int
) -> http.client.HTTPConnection:
    """A request of which so many bytes have been sent, and the rest has not."""
    url = client.base_url
    connection = http.client.HTTPConnection(url.host, url.port, timeout=60)
    connection.putrequest("POST", "/v1/events")
    headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
    for name, value in (headers | bearer(shown)).items():
        connection.putheader(name, value)
    connection.endheaders(content[:size])
    return connection


def _refused_first(begun: list[http.client.HTTPConnection]) -> tuple[int, dict[str, Any]]:
    """What the first to be answered was told; it is taken out."""
    answered, _, _ = select.select([each.sock for each in begun], [], [], 60)
    connection = next(each for each in begun if each.sock in answered)
    begun.remove(connection)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_a_backlog_that_is_too_long_is_told_as_overload(engine: Engine) -> None:
    """503: it is not the sender's doing. Once enough is applied, everything is taken again."""
    time = Time()
    with serving(engine) as client:
        engine._backlog = Backlog(engine.installation, 1, monotonic=time)
        post = poster(client, "any")
        assert post(body(event(id="a"), event(id="b"))).status_code == 200
        time.now += LOOK_EVERY
        answer = post(body(event(id="c")))
        engine.apply_pending()
        time.now += LOOK_EVERY
        assert post(body(event(id="c"))).status_code == 200
        page = client.get("/metrics").text
    problem = refused(answer)
    assert (problem["status"], problem["code"], problem["limit"]) == (503, "overloaded", "backlog")
    assert answer.headers["retry-after"] == "5"
    assert of(read(page), PUSHED_BACK, {"key": "", "limit": "backlog"}) == 1
    assert count(engine) == 3


def test_what_comes_from_a_queue_waits_too(engine: Engine) -> None:
    """It stays on its broker: a consumer takes an overload for a database that is away."""
    from tests.scenarios.driver import order
    from tests.support.engine import draft

    time = Time()
    engine._backlog = Backlog(engine.installation, 1, monotonic=time)
    engine.accept([draft(order(day)) for day in range(2)])
    time.now += LOOK_EVERY
    with pytest.raises(Overloaded) as raised:
        engine.accept([draft(order(2))])
    assert isinstance(raised.value, Unavailable)
    assert count(engine) == 2


# -- who is not slowed


def test_a_commit_takes_from_the_light_key_whatever_the_noisy_one_has_waiting(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By count of commits: the light key's post is in the next one."""
    gate = Gate(engine, monkeypatch)
    noisy, light = key(engine, Scope.EVENTS_WRITE), key(engine, Scope.EVENTS_WRITE, name="light")
    with serving(engine) as client, ThreadPoolExecutor(22) as pool:
        first = pool.submit(poster(client, noisy), body(event(id="first")))
        assert gate.begun.acquire(timeout=60)
        posts = [body(*(event(id=f"{n}-{i}") for i in range(100))) for n in range(20)]
        answers = [pool.submit(poster(client, noisy), content) for content in posts]
        gate.until_queued(21)
        last = pool.submit(poster(client, light), body(event(id="light")))
        gate.until_queued(1)
        gate.open()
        assert {each.result(60).status_code for each in (first, *answers, last)} == {200}
    assert "light" in gate.commits[1]
    assert len(gate.commits) > 5


def test_while_one_key_posts_without_pause_all_of_the_other_is_answered(engine: Engine) -> None:
    """On a real server, with nothing held up: every post of the light key, and the noisy one's too."""
    noisy, light = key(engine, Scope.EVENTS_WRITE), key(engine, Scope.EVENTS_WRITE, name="light")
    stop, going = threading.Event(), threading.Semaphore(0)
    taken: list[int] = []

    with serving(engine) as client:

        def make_noise(number: int) -> None:
            post, turn = poster(client, noisy), 0
            while not stop.is_set():
                content = body(*(event(id=f"{number}-{turn}-{i}") for i in range(50)))
                taken.append(post(content).status_code)
                going.release()
                turn += 1

        with ThreadPoolExecutor(4) as pool:
            noise = [pool.submit(make_noise, number) for number in range(4)]
            try:
                for _ in range(4):
                    assert going.acquire(timeout=60)
                post = poster(client, light)
                answers = [post(body(event(id=f"light-{n}"))).json() for n in range(20)]
            finally:
                stop.set()
            for each in noise:
                each.result(60)
    assert [answer["accepted"] for answer in answers] == [1] * 20
    assert set(taken) == {200}
    assert count(engine) == 20 + 50 * len(taken)


def test_a_body_of_the_light_key_is_taken_apart_before_what_the_noisy_one_has_waiting(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key has as many turns as there are readers; its other bodies wait behind itself."""
    noisy, light = key(engine, Scope.EVENTS_WRITE), key(engine, Scope.EVENTS_WRITE, name="light")
    may_end, whole, given_turn = threading.Event(), threading.Semaphore(0), threading.Semaphore(0)
    turns: list[str] = []  # whose body the readers were given, in order

    class Readers(ThreadPoolExecutor):
        def submit(self, *given: Any, **more: Any) -> Any:
            turns.append("light" if b"light" in given[1] else "noisy")
            future = super().submit(*given, **more)
            given_turn.release()
            return future

    async def body_is_whole(*given: Any) -> bytes:
        content = await read_json_body(*given)
        # Told once its request waits for the next thing, which is its turn.
        asyncio.get_running_loop().call_soon(whole.release)
        return content

    def slow(content: bytes, *given: Any, **more: Any) -> Any:
        assert may_end.wait(60)
        return read_batch(content, *given, **more)

    monkeypatch.setattr("lifecycle.web.events.read_json_body", body_is_whole)
    monkeypatch.setattr("lifecycle.web.events.read_batch", slow)
    monkeypatch.setattr("lifecycle.web.events.ThreadPoolExecutor", Readers)
    with serving(engine) as client, ThreadPoolExecutor(8) as pool:
        post = poster(client, noisy)
        answers = [pool.submit(post, body(event(id=f"noisy-{n}"))) for n in range(6)]
        for _ in range(6):
            assert whole.acquire(timeout=60)
        for _ in range(READERS):
            assert given_turn.acquire(timeout=60)
        answers.append(pool.submit(poster(client, light), body(event(id="light"))))
        assert given_turn.acquire(timeout=60)
        may_end.set()
        assert {each.result(60).status_code for each in answers} == {200}
    assert turns == ["noisy"] * READERS + ["light"] + ["noisy"] * (6 - READERS)
