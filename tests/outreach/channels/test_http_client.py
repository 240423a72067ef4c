"""What became of a request, at each stage at which a provider may fail."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trustme

from lifecycle.outreach.channels.http import (
    BODY_LIMIT,
    Answer,
    Client,
    Request,
    judged,
    retry_after,
    shown,
)
from lifecycle.outreach.channels.target import Targets
from lifecycle.outreach.outcome import Accepted, Ambiguous, Fault, Outcome, Refused
from tests.support.providers import SILENCE, Act, Cut, Drip, FakeProvider, Say, each

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOST = "hooks.partner.example"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def at_loopback(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


def client(
    authority: trustme.CA | None = None, targets: Targets | None = None, seconds: float = 5.0
) -> Client:
    """That may ask loopback, and trusts only our authority."""
    tls = ssl.create_default_context()
    if authority is not None:
        authority.configure_trust(tls)
    return Client(
        targets=targets or Targets(loopback=True, resolve=at_loopback),
        tls=tls,
        connect_seconds=seconds,
        read_seconds=seconds,
    )


def served_as(authority: trustme.CA, host: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


def asked(act: Act, *, seconds: float = 5.0) -> Answer | Refused | Ambiguous:
    with FakeProvider(act) as provider:
        return client(seconds=seconds).ask(Request(url=f"{provider.url}/in", body=b"letter"))


def refused(reply: object) -> Refused:
    """A sure no, which is nobody's fault but the provider's, and may be tried again."""
    assert isinstance(reply, Refused)
    assert (reply.fault, reply.permanent) == (Fault.PROVIDER, False)
    return reply


# --- stages -------------------------------------------------------------------------------------


def test_nothing_left_when_the_name_does_not_resolve() -> None:
    def unknown(host: str, port: int) -> Sequence[str]:
        raise OSError("no such name")

    reply = client(targets=Targets(resolve=unknown)).ask(Request(url=f"https://{HOST}/", body=b""))
    assert refused(reply).code == "dns_failed"


def test_nothing_left_when_nobody_listens() -> None:
    with FakeProvider(Say()) as provider:
        url = provider.url
    assert refused(client().ask(Request(url=url, body=b"x"))).code == "connect_failed"


def test_nothing_left_when_the_time_to_connect_went_by_in_resolving() -> None:
    def slow(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    patient = client(targets=Targets(loopback=True, resolve=slow), seconds=0)
    with FakeProvider(Say()) as provider:
        reply = patient.ask(Request(url=provider.url, body=b"x"))
        assert provider.connections == 0
    assert refused(reply).code == "connect_failed"


def test_the_next_address_is_tried_when_the_first_does_not_take_us() -> None:
    both = Targets(loopback=True, resolve=lambda host, port: ["127.0.0.3", "127.0.0.1"])
    with FakeProvider(Say(body=b"here")) as provider:
        reply = client(targets=both).ask(Request(url=provider.url, body=b"x"))
    assert isinstance(reply, Answer)
    assert reply.body == b"here"


def test_nothing_left_when_tls_fails(authority: trustme.CA) -> None:
    with FakeProvider(Say(), tls=served_as(authority, HOST)) as provider:
        url = f"https://{HOST}:{provider.port}/"
        reply = client().ask(Request(url=url, body=b"x"))
        assert provider.asked == []
    assert refused(reply).code == "tls_failed"
    assert "CERTIFICATE_VERIFY_FAILED" in refused(reply).detail


def test_nothing_left_when_the_certificate_names_another_host(authority: trustme.CA) -> None:
    with FakeProvider(Say(), tls=served_as(authority, "other.example")) as provider:
        url = f"https://{HOST}:{provider.port}/"
        reply = client(authority).ask(Request(url=url, body=b"x"))
        assert provider.asked == []
    assert refused(reply).code == "tls_failed"


def test_nothing_left_when_it_speaks_no_tls(authority: trustme.CA) -> None:
    with FakeProvider(Say()) as provider:
        url = f"https://{HOST}:{provider.port}/"
        reply = client(authority, seconds=0.2).ask(Request(url=url, body=b"x"))
    assert refused(reply).code == "tls_failed"


def test_nothing_left_when_it_breaks_off_before_all_is_written() -> None:
    with FakeProvider(Cut.IN_REQUEST) as provider:
        reply = client().ask(Request(url=provider.url, body=b"x" * 50_000_000))
    assert refused(reply).code == "cut_while_writing"


def test_nobody_knows_when_all_was_written_and_nothing_was_answered() -> None:
    assert asked(Cut.AFTER_REQUEST) == Ambiguous(
        code="answer_cut", detail="all was written, and the answer was cut off"
    )


def test_nobody_knows_when_no_answer_comes_in_time() -> None:
    reply = asked(SILENCE, seconds=0.2)
    assert isinstance(reply, Ambiguous)
    assert reply.code == "no_answer"


def test_a_status_that_was_said_counts_although_its_head_was_cut() -> None:
    reply = asked(Cut.IN_HEAD)
    assert isinstance(reply, Answer)
    assert (reply.status, reply.body) == (200, b"")


def test_an_answer_that_drips_is_ended_when_the_whole_time_is_over() -> None:
    with FakeProvider(Drip(head=b"HTTP/1.1 200")) as provider:
        reply = client(seconds=0.2).ask(Request(url=provider.url, body=b"x"))
        assert provider.broken_off.wait(5)
    assert isinstance(reply, Ambiguous)
    assert reply.code == "no_answer"


def test_a_body_that_drips_is_ended_too_and_its_status_counts(authority: trustme.CA) -> None:
    drip = Drip(head=b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
    with FakeProvider(drip, tls=served_as(authority, HOST)) as provider:
        url = f"https://{HOST}:{provider.port}/"
        reply = client(authority, seconds=0.3).ask(Request(url=url, body=b"x"))
        assert provider.broken_off.wait(5)
    assert isinstance(reply, Answer)
    assert reply.status == 200


def test_a_body_of_no_stated_length_that_drips_is_ended_too() -> None:
    with FakeProvider(Drip(head=b"HTTP/1.1 200 OK\r\n\r\n")) as provider:
        reply = client(seconds=0.2).ask(Request(url=provider.url, body=b"x"))
    assert isinstance(reply, Answer)
    assert reply.status == 200


def test_a_header_that_cannot_be_written_is_a_setting_of_ours() -> None:
    with FakeProvider(Say()) as provider:
        for value in ("a\r\nX-Evil: 1", "密钥"):
            request = Request(url=provider.url, headers={"X-Key": value}, body=b"x")
            assert refused(client().ask(request)).code == "request_malformed"
        assert provider.asked == []


def test_an_address_that_does_not_answer_leaves_time_for_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited: list[float] = []
    connect = socket.create_connection

    def create_connection(address: tuple[str, int], timeout: float) -> socket.socket:
        waited.append(timeout)
        if address[0] == "127.0.0.3":
            raise TimeoutError
        return connect(address, timeout)

    monkeypatch.setattr(
        "lifecycle.outreach.channels.http.socket.create_connection", create_connection
    )
    both = Targets(loopback=True, resolve=lambda host, port: ["127.0.0.3", "127.0.0.1"])
    with FakeProvider(Say()) as provider:
        reply = client(targets=both, seconds=4).ask(Request(url=provider.url, body=b"x"))
    assert isinstance(reply, Answer)
    assert waited[0] <= 2 < waited[1]


def test_of_a_body_that_is_cut_there_is_what_came() -> None:
    reply = asked(Cut.IN_BODY)
    assert isinstance(reply, Answer)
    assert (reply.status, reply.body) == (200, b'{"errcode"')


def test_of_a_huge_body_no_more_is_read_than_the_limit() -> None:
    reply = asked(Say(body=b"a" * (BODY_LIMIT + 1)))
    assert isinstance(reply, Answer)
    assert len(reply.body) == BODY_LIMIT


def test_what_is_no_http_at_all_tells_nothing() -> None:
    with FakeProvider(Drip(head=b"220 mail.example ESMTP\r\n")) as provider:
        reply = client().ask(Request(url=provider.url, body=b"x"))
    assert isinstance(reply, Ambiguous)
    assert reply.code == "answer_cut"


# --- the way there ------------------------------------------------------------------------------


def test_it_connects_to_the_address_that_was_judged_with_the_name_in_sni_and_host(
    authority: trustme.CA,
) -> None:
    names: list[str | None] = []
    tls = served_as(authority, HOST)
    tls.sni_callback = lambda _socket, name, _context: names.append(name)
    with FakeProvider(Say(body=b"ok"), tls=tls) as provider:
        url = f"https://{HOST}:{provider.port}/in?a=%20b"
        reply = client(authority).ask(Request(url=url, headers={"X-A": "1"}, body=b"letter"))
    assert isinstance(reply, Answer)
    assert names == [HOST]
    (asked,) = provider.asked
    assert (asked.method, asked.target, asked.body) == ("POST", "/in?a=%20b", b"letter")
    assert asked.headers["host"] == f"{HOST}:{provider.port}"
    assert asked.headers["x-a"] == "1"
    assert asked.headers["content-length"] == "6"


def test_a_resolver_that_flips_after_it_was_asked_leads_nowhere_else() -> None:
    """Check and use are one look: the second answer, a trap, is never heard."""
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    flips = Targets(loopback=True, resolve=lambda host, port: next(answers))
    with FakeProvider(Say(body=b"right")) as provider:
        trap = FakeProvider(Say(body=b"trapped"), host="127.0.0.2", port=provider.port)
        with trap:
            reply = client(targets=flips).ask(
                Request(url=f"http://{HOST}:{provider.port}/", body=b"x")
            )
        assert trap.connections == 0
    assert isinstance(reply, Answer)
    assert reply.body == b"right"


def test_a_name_that_was_public_when_it_was_set_up_and_is_private_now_is_blocked() -> None:
    with FakeProvider(Say()) as provider:
        answers = iter([["93.184.216.34"], ["127.0.0.1"]])
        targets = Targets(resolve=lambda host, port: next(answers))
        targets.find(f"https://{HOST}/")
        reply = client(targets=targets).ask(Request(url=f"https://{HOST}/", body=b"x"))
        assert provider.connections == 0
    assert refused(reply).code == "blocked_target"
    assert "127.0.0.1" in refused(reply).detail


def test_without_the_word_of_a_test_loopback_is_blocked() -> None:
    with FakeProvider(Say()) as provider:
        reply = Client().ask(Request(url=provider.url, body=b"x"))
        assert provider.connections == 0
    assert refused(reply).code == "blocked_target"


def test_a_redirect_is_not_followed() -> None:
    with FakeProvider(Say()) as inside:
        with FakeProvider(Say(status=302, headers={"Location": inside.url})) as provider:
            reply = client().ask(Request(url=provider.url, body=b"x"))
        assert inside.connections == 0
    assert isinstance(reply, Answer)
    assert reply.status == 302


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeProvider(Say(body=b"a proxy")) as proxy, FakeProvider(Say(body=b"it")) as provider:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        reply = client().ask(Request(url=provider.url, body=b"x"))
        assert proxy.connections == 0
    assert isinstance(reply, Answer)
    assert reply.body == b"it"


# --- what a status says -------------------------------------------------------------------------

TEMPORARY = {408, 429, 503}
AMBIGUOUS = {500, 501, 502, 504, 505, 507, 511, 520, 524, 599, 102, 103}


def of(status: int, headers: Mapping[str, str] | None = None, *, same_key: bool = False) -> Outcome:
    answer = Answer(status=status, headers=headers or {}, body=b"private words")
    return judged(answer, now=NOW, same_key=same_key)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_2xx_is_a_yes(status: int) -> None:
    assert of(status) == Accepted()


@pytest.mark.parametrize("status", sorted(TEMPORARY))
def test_too_many_or_not_now_is_a_no_for_now(status: int) -> None:
    assert refused(of(status, {"retry-after": "120"})).retry_after == timedelta(minutes=2)
    assert refused(of(status)).retry_after is None


@pytest.mark.parametrize("status", sorted(AMBIGUOUS))
def test_an_error_of_its_own_tells_nothing_of_what_was_done(status: int) -> None:
    assert isinstance(of(status), Ambiguous)


@pytest.mark.parametrize("status", [s for s in range(300, 500) if s not in TEMPORARY])
def test_a_redirect_and_any_other_4xx_is_a_no_for_good(status: int) -> None:
    outcome = of(status)
    assert isinstance(outcome, Refused)
    assert outcome.permanent
    assert outcome.code == f"http_{status}"


def test_a_conflict_under_the_same_key_is_work_that_goes_on() -> None:
    assert refused(of(409, same_key=True)).code == "http_409"


def test_what_refuses_us_is_not_held_against_the_message() -> None:
    by_status = {s: of(s) for s in (400, 401, 403, 404, 410, 413, 422)}
    faults = {s: o.fault for s, o in by_status.items() if isinstance(o, Refused)}
    assert {s for s, fault in faults.items() if fault is Fault.PROVIDER} == {401, 403, 404, 410}


def test_410_says_to_disable_the_channel() -> None:
    outcome = of(410)
    assert isinstance(outcome, Refused)
    assert "disable" in outcome.detail


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("7", timedelta(seconds=7)),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), timedelta(minutes=5)),
        ("999999999", timedelta(days=1)),
        ("0", None),
        ("-5", None),
        ("1e9", None),
        ("٧", None),
        ("soon", None),
        ("", None),
        (format_datetime(NOW - timedelta(minutes=5), usegmt=True), None),
        ("Mon, 99 Foo 2026 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_anything_else_is_none(
    text: str, wait: timedelta | None
) -> None:
    answer = Answer(status=429, headers={"retry-after": text}, body=b"")
    assert retry_after(answer, NOW) == wait


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("13800138000 invalid mobile number", "••• invalid mobile number"),
        ("The 'To' number +1 415-555-0100 is", "The 'To' number ••• is"),
        ("no such user anna@example.com here", "no such user ••• here"),
        ("code 40014\r\nSet-Cookie: a", "code •••  Set-Cookie: a"),
        ("limit 1000 a day", "limit 1000 a day"),
        ("\x1b[31mred\u202e", " [31mred "),
    ],
)
def test_the_words_of_a_provider_are_shown_on_one_line_without_addresses(
    words: str, expected: str
) -> None:
    assert shown(words) == expected


def test_long_words_are_clipped() -> None:
    assert len(shown("word " * 1000)) == 200


# --- many ---------------------------------------------------------------------------------------


@pytest.fixture
def one_in_five() -> Iterator[FakeProvider]:
    acts: list[Act] = [Say(), Say(), Cut.AFTER_REQUEST, Say(), Say(status=400)]
    with FakeProvider(each(*acts * 4, Say())) as provider:
        yield provider


def test_one_bad_request_ends_only_itself(one_in_five: FakeProvider) -> None:
    ours = client()
    replies = [ours.ask(Request(url=one_in_five.url, body=b"x")) for _ in range(20)]
    assert [type(reply) for reply in replies] == [Answer, Answer, Ambiguous, Answer, Answer] * 4
    assert one_in_five.connections == 20
