"""E-mail: one letter, one recipient, one named outcome, whatever the server does at whichever stage."""

from __future__ import annotations

import json
import re
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from lifecycle.outreach.channels import Channel
from lifecycle.outreach.outcome import Accepted, Ambiguous, Fault, Outcome, Refused
from tests.conftest import ROOT
from tests.support.letters import a_letter, mail_channel
from tests.support.process import started
from tests.support.smtp import Act, Script, SmtpServer, Taken, by_chance

SAYS, DOES = "says", "does"
P, R, M = Fault.PROVIDER, Fault.RECIPIENT, Fault.MESSAGE
NO, NEVER = False, True  # tried again, or never


def at(stage: str, act: Act) -> Script:
    return lambda asked, _letter: act if asked == stage else None


@contextmanager
def sending(
    folder: Path, server: SmtpServer, more: str = "", **environment: str
) -> Iterator[Channel]:
    with server:
        channel = mail_channel(folder, server.port, more, **environment)
        try:
            yield channel
        finally:
            channel.close()


# (stage, what the server says there, code of the outcome, whose fault, permanent)
REFUSALS = [
    ("connect", "554 5.7.1 not you", "connect_554_5.7.1", P, NO),
    ("connect", "421 4.3.2 shutting down", "connect_421_4.3.2", P, NO),
    ("ehlo", "550 go away", "ehlo_550", P, NO),
    ("ehlo", "421 later", "ehlo_421", P, NO),
    ("mail", "451 4.3.0 trouble here", "mail_451_4.3.0", P, NO),
    ("mail", "550 5.7.1 this sender may not", "mail_550_5.7.1", P, NEVER),
    ("mail", "552 too large", "mail_552", M, NEVER),
    ("mail", "552 5.3.4 too large", "mail_552_5.3.4", M, NEVER),
    ("mail", "421 4.4.5 busy", "mail_421_4.4.5", P, NO),
    ("rcpt", "550 5.1.1 nobody of that name", "rcpt_550_5.1.1", R, NEVER),
    ("rcpt", "550 nobody of that name", "rcpt_550", R, NEVER),
    ("rcpt", "553 strange address", "rcpt_553", R, NEVER),
    ("rcpt", "554 no", "rcpt_554", R, NEVER),
    ("rcpt", "450 4.2.1 come again", "rcpt_450_4.2.1", R, NO),
    ("rcpt", "451 greylisted", "rcpt_451", R, NO),
    ("rcpt", "452 4.5.3 too many recipients", "rcpt_452_4.5.3", P, NO),
    ("rcpt", "452 out of room", "rcpt_452", P, NO),
    ("rcpt", "552 5.2.2 mailbox full", "rcpt_552_5.2.2", R, NO),
    ("rcpt", "552 mailbox full", "rcpt_552", R, NO),
    ("rcpt", "550 5.7.1 policy", "rcpt_550_5.7.1", P, NEVER),
    ("rcpt", "550 5.1.8 your domain is unknown", "rcpt_550_5.1.8", P, NEVER),
    ("rcpt", "550 4.1.1 it contradicts itself", "rcpt_550", R, NEVER),
    ("rcpt", "421 4.7.0 slow down", "rcpt_421_4.7.0", P, NO),
    ("data", "451 4.3.0 trouble", "data_451_4.3.0", P, NO),
    ("data", "554 5.5.1 no valid recipients", "data_554_5.5.1", P, NEVER),
    ("data", "250 what?", "data_250", P, NO),
    ("dot", "451 4.3.0 queue full", "dot_451_4.3.0", P, NO),
    ("dot", "452 disk full", "dot_452", P, NO),
    ("dot", "554 5.7.1 looks like spam", "dot_554_5.7.1", P, NEVER),
    ("dot", "554 5.6.0 cannot read this", "dot_554_5.6.0", M, NEVER),
    ("dot", "550 we do not like it", "dot_550", M, NEVER),
    ("dot", "552 5.2.3 longer than she allows", "dot_552_5.2.3", M, NEVER),
    ("dot", "421 4.3.2 shutting down", "dot_421_4.3.2", P, NO),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "said", "code", "fault", "permanent"), REFUSALS)
def test_an_answer_that_is_a_no_is_a_sure_no(
    stage: str, said: str, code: str, fault: Fault, permanent: bool, tmp_path: Path
) -> None:
    with sending(tmp_path, SmtpServer(at(stage, Act(say=said)))) as channel:
        outcome = channel.send(a_letter())
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.fault, outcome.permanent) == (code, fault, permanent)
    assert said.partition(" ")[2] in outcome.detail


# (stage, what the server does there, code of the outcome, how often the letter was taken)
SILENCES = [
    ("connect", Act(cut=True), "connect_cut", 0),
    ("connect", Act(hang=True), "connect_timeout", 0),
    ("connect", Act(say="hello there"), "connect_unreadable", 0),
    ("ehlo", Act(cut=True), "ehlo_cut", 0),
    ("ehlo", Act(hang=True), "ehlo_timeout", 0),
    ("mail", Act(cut=True), "mail_cut", 0),
    ("mail", Act(hang=True), "mail_timeout", 0),
    ("rcpt", Act(cut=True), "rcpt_cut", 0),
    ("rcpt", Act(hang=True), "rcpt_timeout", 0),
    ("rcpt", Act(say="2.5.0"), "rcpt_unreadable", 0),
    ("data", Act(cut=True), "data_cut", 0),
    ("data", Act(hang=True), "data_timeout", 0),
    ("body", Act(cut=True), "body_cut", 0),
    ("body", Act(hang=True), "body_timeout", 0),
    ("dot", Act(cut=True), "dot_cut", 1),
    ("dot", Act(cut=True, takes=False), "dot_cut", 0),
    ("dot", Act(hang=True), "dot_timeout", 1),
    ("dot", Act(hang=True, takes=False), "dot_timeout", 0),
    ("dot", Act(say="what?"), "dot_unreadable", 0),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "act", "code", "taken"), SILENCES)
def test_without_an_answer_it_is_a_sure_no_until_the_last_byte_and_then_nobody_knows(
    stage: str, act: Act, code: str, taken: int, tmp_path: Path
) -> None:
    server = SmtpServer(at(stage, act), narrow=True)
    timeout = "timeout: 1s" if act.hang else "timeout: 20s"
    # longer than what a line holds that nobody reads
    text = "a line of the letter\n" * (95_000 if stage == "body" else 1)
    with sending(tmp_path, server, timeout) as channel:
        outcome = channel.send(a_letter(text=text, html=text))
    assert outcome_of(outcome) == (code, "ambiguous" if stage == "dot" else "no")
    assert sum(server.counts.values()) == taken


def outcome_of(outcome: Outcome) -> tuple[str, str]:
    match outcome:
        case Ambiguous(code=code):
            return code, "ambiguous"
        case Refused(code=code, fault=Fault.PROVIDER, permanent=False):
            return code, "no"
        case _:
            raise AssertionError(outcome)


def test_the_documented_outcomes_are_those_that_are_tested() -> None:
    """The tables of docs/channels.md name every code above, with what it means."""
    document = (ROOT / "docs" / "channels.md").read_text("utf-8")
    for stage, said, code, fault, permanent in REFUSALS:
        again = "never" if permanent else "again"
        row = (
            rf"^\| {stage} \| `{re.escape(said)}` \| `{re.escape(code)}` \| {fault} \| {again} \|$"
        )
        assert re.search(row, document, re.MULTILINE), row
    for _, _, code, _ in SILENCES:
        assert f"`{code}`" in document


def test_what_is_taken_is_accepted_under_the_id_of_the_server(tmp_path: Path) -> None:
    server = SmtpServer()
    with sending(tmp_path, server) as channel:
        assert channel.send(a_letter("77-88")) == Accepted(provider_id="77-88")
    assert server.counts == {"77-88": 1}
    assert b"\r\nMessage-ID: <77-88@mail.example.com>\r\n" in server.taken[0].content


def test_a_letter_has_one_recipient_and_its_key_travels_in_the_envelope(tmp_path: Path) -> None:
    server = SmtpServer()
    with sending(tmp_path, server, "return_path: bounces+{key}@mail.example.com") as channel:
        channel.send(a_letter("77-88", to="li@例子.中国"))
    (letter,) = server.taken
    assert letter.recipients == ["li@xn--fsqu00a.xn--fiqs8s"]
    assert letter.sender == "bounces+77-88@mail.example.com"
    assert " RET=HDRS ENVID=77-88" in letter.mail
    assert f" SIZE={len(letter.content)}" in letter.mail


@pytest.mark.parametrize(
    ("more", "sender"),
    [("", "care@mail.example.com"), ("return_path: none", ""), ("return_path: b@x.example", "b@x.example")],
)  # fmt: skip
def test_what_cannot_be_delivered_goes_back_to_whom_the_settings_say(
    more: str, sender: str, tmp_path: Path
) -> None:
    server = SmtpServer(offers=())
    with sending(tmp_path, server, more) as channel:
        channel.send(a_letter())
    assert server.taken[0].sender == sender
    assert "ENVID" not in server.taken[0].mail, "the server did not offer DSN"


def test_lines_that_begin_with_a_dot_arrive_as_they_were(tmp_path: Path) -> None:
    server = SmtpServer()
    with sending(tmp_path, server) as channel:
        channel.send(a_letter(text=".\n..\n.hidden\nQUIT\n", html=None))
    body = server.taken[0].content.partition(b"\r\n\r\n")[2]
    assert body == b"=2E\r\n..\r\n.hidden\r\nQUIT\r\n"


def test_an_address_beyond_ascii_needs_a_server_that_takes_it(tmp_path: Path) -> None:
    letter = a_letter(to="李华@例子.中国")
    able, unable = SmtpServer(), SmtpServer(offers=("DSN",))
    with sending(tmp_path, able) as channel:
        assert isinstance(channel.send(letter), Accepted)
    assert able.taken[0].recipients == ["李华@xn--fsqu00a.xn--fiqs8s"]
    assert "SMTPUTF8" in able.taken[0].mail
    with sending(tmp_path, unable) as channel:
        outcome = channel.send(letter)
        assert isinstance(channel.send(a_letter("2")), Accepted), "and the session goes on"
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.fault, outcome.permanent) == ("smtputf8_not_offered", R, NEVER)


def test_one_bad_recipient_in_fifty_harms_no_other_letter(tmp_path: Path) -> None:
    def script(stage: str, letter: Taken) -> Act | None:
        bad = stage == "rcpt" and "bad" in letter.rcpt[-1]
        return Act(say="554 5.1.1 no such person") if bad else None

    server = SmtpServer(script)
    with sending(tmp_path, server) as channel:
        outcomes = [
            channel.send(
                a_letter(f"k-{n}", to=f"{'bad' if n % 50 == 7 else 'good'}{n}@example.org")
            )
            for n in range(200)
        ]
    refused = [n for n, outcome in enumerate(outcomes) if isinstance(outcome, Refused)]
    assert refused == [7, 57, 107, 157]
    assert server.counts == {f"k-{n}": 1 for n in range(200) if n % 50 != 7}
    assert server.connections == 2, "a connection takes 100 letters, refused ones among them"


def test_a_connection_is_used_again_and_one_that_the_server_ended_costs_no_letter(
    tmp_path: Path,
) -> None:
    server = SmtpServer()
    with sending(tmp_path, server) as channel:
        assert isinstance(channel.send(a_letter("1")), Accepted)
        assert isinstance(channel.send(a_letter("2")), Accepted)
        assert server.connections == 1
        server.cut_idle()
        assert isinstance(channel.send(a_letter("3")), Accepted)
    assert server.connections == 2
    assert server.counts == {"1": 1, "2": 1, "3": 1}


def test_a_server_that_says_goodbye_to_the_next_letter_is_called_again(tmp_path: Path) -> None:
    mails: list[str] = []

    def script(stage: str, letter: Taken) -> Act | None:
        if stage == "mail":
            mails.append(letter.mail)
            return Act(say="421 4.4.2 too long idle") if len(mails) == 2 else None
        return None

    server = SmtpServer(script)
    with sending(tmp_path, server) as channel:
        outcomes = [channel.send(a_letter(key)) for key in ("1", "2")]
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert (server.connections, server.counts) == (2, {"1": 1, "2": 1})


def test_threads_share_a_few_connections_and_no_letter_is_mixed_up(tmp_path: Path) -> None:
    server = SmtpServer()
    with sending(tmp_path, server, "connections: 3") as channel, ThreadPoolExecutor(8) as pool:
        letters = [a_letter(f"k-{n}", to=f"p{n}@example.org") for n in range(120)]
        assert all(isinstance(one, Accepted) for one in pool.map(channel.send, letters))
    assert server.connections <= 3
    assert {(one.key, *one.recipients) for one in server.taken} == {
        (f"k-{n}", f"p{n}@example.org") for n in range(120)
    }


def test_a_server_that_drips_its_answer_is_given_up_on_in_time(tmp_path: Path) -> None:
    """Each byte comes well within the timeout, and the answer never ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def drip() -> None:
        client, _ = listening.accept()
        with client, listening:
            while not done.wait(0.05):
                try:
                    client.sendall(b"2")
                except OSError:
                    return

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    channel = mail_channel(tmp_path, listening.getsockname()[1], "timeout: 1s")
    assert outcome_of(channel.send(a_letter())) == ("connect_timeout", "no")
    done.set()
    thread.join(10)


def test_where_nobody_listens_the_letter_surely_did_not_leave(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    channel = mail_channel(tmp_path, port)
    assert outcome_of(channel.send(a_letter())) == ("connect_failed", "no")


def test_what_a_server_says_is_told_without_addresses_on_one_short_line(tmp_path: Path) -> None:
    said = (
        "550-5.1.1 <li@example.org> is unknown\r\n550 5.1.1 \x1b[31m ask admin@example.org "
        + "x" * 300
    )
    with sending(tmp_path, SmtpServer(at("rcpt", Act(say=said)))) as channel:
        outcome = channel.send(a_letter())
    assert isinstance(outcome, Refused)
    assert outcome.detail.startswith(
        "the server answered 550 5.1.1 <***> is unknown 5.1.1 ?[31m ask ***"
    )
    assert outcome.detail.isprintable()
    assert len(outcome.detail) < 250


Certified = Callable[[str], tuple[ssl.SSLContext, Path]]


@pytest.fixture
def certified(tmp_path: Path) -> Certified:
    """A server's TLS for a name, and the file of the authority that vouches for it."""

    def certified(name: str) -> tuple[ssl.SSLContext, Path]:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        file = tmp_path / "authority.pem"
        authority.cert_pem.write_to_path(str(file))
        return context, file

    return certified


@pytest.mark.parametrize(("security", "implicit"), [("starttls", False), ("tls", True)])
def test_a_letter_travels_privately_after_logging_in(
    security: str, implicit: bool, tmp_path: Path, certified: Certified
) -> None:
    tls, authority = certified("127.0.0.1")
    server = SmtpServer(tls=tls, implicit=implicit, password="open sesame")
    more = f"security: {security}\nca_file: {authority}\nusername: ann\npassword: {{env: PW}}"
    with sending(tmp_path, server, more, PW="open sesame") as channel:
        assert isinstance(channel.send(a_letter()), Accepted)
    assert server.taken[0].secure
    assert server.taken[0].user == "ann"


@pytest.mark.parametrize(("security", "implicit"), [("starttls", False), ("tls", True)])
@pytest.mark.parametrize("trusted", [True, False])
def test_a_certificate_that_is_not_vouched_for_or_of_another_name_is_refused(
    security: str, implicit: bool, trusted: bool, tmp_path: Path, certified: Certified
) -> None:
    tls, authority = certified("other.example.com" if trusted else "127.0.0.1")
    more = f"security: {security}" + (f"\nca_file: {authority}" if trusted else "")
    with sending(tmp_path, SmtpServer(tls=tls, implicit=implicit), more) as channel:
        assert outcome_of(channel.send(a_letter())) == ("certificate_refused", "no")


def test_nothing_is_said_in_clear_to_a_server_that_offers_no_privacy(
    tmp_path: Path, certified: Certified
) -> None:
    server = SmtpServer(password="open sesame")
    more = "security: starttls\nusername: ann\npassword: {env: PW}"
    with sending(tmp_path, server, more, PW="open sesame") as channel:
        assert outcome_of(channel.send(a_letter())) == ("starttls_not_offered", "no")
    assert not any(stage.startswith(("auth", "mail")) for stage in server.answers)


def test_answers_that_came_before_the_line_was_private_are_not_believed(
    tmp_path: Path, certified: Certified
) -> None:
    tls, authority = certified("127.0.0.1")
    server = SmtpServer(at("starttls", Act(say="220 go ahead\r\n250 injected")), tls=tls)
    with sending(tmp_path, server, f"security: starttls\nca_file: {authority}") as channel:
        assert outcome_of(channel.send(a_letter())) == ("starttls_unreadable", "no")


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (Act(say="454 4.3.0 no TLS today"), "starttls_454_4.3.0"),
        (Act(cut=True), "starttls_cut"),
        (Act(hang=True), "starttls_timeout"),
    ],
)
def test_a_line_that_does_not_become_private_is_a_sure_no(
    act: Act, code: str, tmp_path: Path, certified: Certified
) -> None:
    tls, authority = certified("127.0.0.1")
    more = f"security: starttls\nca_file: {authority}\ntimeout: 1s"
    with sending(tmp_path, SmtpServer(at("starttls", act), tls=tls), more) as channel:
        assert outcome_of(channel.send(a_letter())) == (code, "no")


LOGINS = [
    (at("auth", Act(say="454 4.7.0 later")), "right", "auth_454_4.7.0"),
    (at("auth", Act(cut=True)), "right", "auth_cut"),
    (at("auth", Act(hang=True)), "right", "auth_timeout"),
    (at("nowhere", Act()), "wrong", "auth_535_5.7.8"),
]


@pytest.mark.parametrize(("script", "password", "code"), LOGINS)
def test_a_login_that_fails_is_a_sure_no_that_no_letter_is_to_blame_for(
    script: Script, password: str, code: str, tmp_path: Path
) -> None:
    server = SmtpServer(script, password="right")
    more = "username: ann\npassword: {env: PW}\ntimeout: 1s"
    with sending(tmp_path, server, more, PW=password) as channel:
        outcome = channel.send(a_letter())
    assert outcome_of(outcome) == (code, "no")
    assert password not in repr(outcome)


def test_a_server_without_logins_is_not_sent_the_password(tmp_path: Path) -> None:
    server = SmtpServer()
    with sending(tmp_path, server, "username: ann\npassword: {env: PW}", PW="right") as channel:
        assert outcome_of(channel.send(a_letter())) == ("auth_not_offered", "no")


FAULTS = [
    ("connect", Act(cut=True), 0.15), ("connect", Act(say="421 4.3.2 full"), 0.15),
    ("ehlo", Act(cut=True), 0.15), ("ehlo", Act(say="502 what?"), 0.15),
    ("mail", Act(cut=True), 0.02), ("mail", Act(say="451 4.3.0 no"), 0.02),
    ("rcpt", Act(cut=True), 0.02), ("rcpt", Act(say="550 5.1.1 no"), 0.02),
    ("data", Act(cut=True), 0.02), ("data", Act(say="421 no"), 0.02),
    ("body", Act(cut=True), 0.02),
    ("dot", Act(cut=True), 0.02), ("dot", Act(cut=True, takes=False), 0.02),
    ("dot", Act(say="451 4.3.0 no"), 0.02), ("dot", Act(say="554 5.6.0 no"), 0.02),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_with_faults_at_every_stage_each_outcome_says_whether_the_letter_was_taken(
    seed: int, tmp_path: Path
) -> None:
    server = SmtpServer(by_chance(FAULTS, seed))
    letters = [a_letter(f"k-{n}", to=f"p{n}@example.org") for n in range(600)]
    with sending(tmp_path, server) as channel, ThreadPoolExecutor(6) as pool:
        outcomes = dict(
            zip([letter.key for letter in letters], pool.map(channel.send, letters), strict=True)
        )
    took = server.counts
    assert all(took[key] == 1 for key, one in outcomes.items() if isinstance(one, Accepted))
    assert all(took[key] == 0 for key, one in outcomes.items() if isinstance(one, Refused))
    unsure = [key for key, one in outcomes.items() if isinstance(one, Ambiguous)]
    assert {took[key] for key in unsure} == {0, 1}, "and of those nobody knew"
    for stage, act, _ in FAULTS:
        said = "cut" if act.cut else (act.say or "")[:3]
        assert server.answers[f"{stage} {said}"] > 0, f"{stage} {said} was never tried"


def test_the_server_of_the_tests_runs_as_a_process_too(tmp_path: Path) -> None:
    log = tmp_path / "taken.tsv"
    arguments = ("--fault", "rcpt:550:1.0", "--log", str(log))
    with started("-m", "tests.support.smtp") as start:
        failing, sound = start(*arguments), start("--log", str(log))
        for server in (failing, sound):
            port = int(server.line("listening on .*:([0-9]+)")[1])
            channel = mail_channel(tmp_path, port)
            channel.send(a_letter("11"))
            channel.close()
        told = [json.loads(server.end(signal.SIGTERM)[1]) for server in (failing, sound)]
    assert [one["taken"] for one in told] == [0, 1]
    assert told[0]["answers"]["rcpt 550"] == 1
    assert log.read_text() == "11\tli@example.org\n"


class Sink:
    """What a server that others wrote makes of our letters."""

    def __init__(self) -> None:
        self.took: list[Envelope] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd asks for it by this name
        self.took.append(envelope)
        return "250 2.0.0 taken"


def test_a_server_that_others_wrote_understands_us(tmp_path: Path) -> None:
    sink = Sink()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(sink, hostname="127.0.0.1", port=port, enable_SMTPUTF8=True)
    controller.start()
    try:
        channel = mail_channel(tmp_path, port)
        letters = [a_letter("1", text=".\n.hidden\n", html=None), a_letter("2", to="李@例子.中国")]
        assert all(isinstance(channel.send(letter), Accepted) for letter in letters)
        channel.close()
    finally:
        controller.stop()
    assert [one.rcpt_tos for one in sink.took] == [
        ["li@example.org"],
        ["李@xn--fsqu00a.xn--fiqs8s"],
    ]
    assert sink.took[0].original_content is not None
    assert sink.took[0].original_content.endswith(b"=2E\r\n.hidden\r\n")
