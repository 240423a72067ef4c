"""WeCom, DingTalk and Feishu: tokens, signatures of robots, and what every kind of answer means."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from lifecycle.outreach.channels import Channel, dingtalk, feishu
from lifecycle.outreach.channels.dingtalk import (
    DingtalkApp,
    DingtalkAppSettings,
    DingtalkRobot,
    DingtalkRobotSettings,
)
from lifecycle.outreach.channels.feishu import FeishuRobot, FeishuRobotSettings
from lifecycle.outreach.channels.http import Request
from lifecycle.outreach.channels.tokens import Tokens
from lifecycle.outreach.channels.wecom import (
    WecomApp,
    WecomAppSettings,
    WecomRobot,
    WecomRobotSettings,
)
from lifecycle.outreach.outcome import Accepted, Ambiguous, Fault, Outcome, Refused
from tests.outreach.channels.letters import NOW, client, letter
from tests.support import signatures as checks
from tests.support.providers import SILENCE, Act, Asked, Cut, FakeProvider, Say

SECRET = "SEC&cret"
Open = Callable[[FakeProvider, float], Channel]


def wecom(provider: FakeProvider, seconds: float = 5.0) -> Channel:
    settings = WecomAppSettings(corporation="ww1", secret=SECRET, agent=1000002, url=provider.url)
    return WecomApp("wecom", settings, client(seconds=seconds))


def wecom_robot(provider: FakeProvider, seconds: float = 5.0) -> Channel:
    settings = WecomRobotSettings(key="k-1", url=provider.url)
    return WecomRobot("sales", settings, client(seconds=seconds))


def ding(provider: FakeProvider, seconds: float = 5.0) -> Channel:
    settings = DingtalkAppSettings(key="ding1", secret=SECRET, agent=7, url=provider.url)
    return DingtalkApp("dingtalk", settings, client(seconds=seconds))


def ding_robot(provider: FakeProvider, seconds: float = 5.0) -> Channel:
    settings = DingtalkRobotSettings(token="t-1", secret=SECRET, url=provider.url)
    return DingtalkRobot("sales", settings, client(seconds=seconds))


def feishu_robot(provider: FakeProvider, seconds: float = 5.0) -> Channel:
    settings = FeishuRobotSettings(token="t-1", secret=SECRET, url=provider.url)
    return FeishuRobot("sales", settings, client(seconds=seconds))


APPS: Mapping[str, Open] = {"wecom": wecom, "ding": ding}
ROBOTS: Mapping[str, Open] = {
    "wecom_robot": wecom_robot,
    "ding_robot": ding_robot,
    "feishu_robot": feishu_robot,
}
ALL: Mapping[str, Open] = {**APPS, **ROBOTS}


class House:
    """A provider with access tokens: it gives one out, and lets in who shows it."""

    def __init__(self, answer: Act, *, good: str = "token-1") -> None:
        self.answer = answer
        self.good = good  # which it lets in, and gives out
        self.given = 0
        self.lasts: object = 7200
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Act:
        if asked.path.endswith("gettoken"):
            return self._given(asked)
        if "robot" in asked.path or "hook" in asked.path:
            return self.answer
        if asked.query.get("access_token") != self.good:
            return Say(body={"errcode": 40014, "errmsg": "invalid access_token"})
        return self.answer

    def _given(self, asked: Asked) -> Act:
        known = {("ww1", SECRET), ("ding1", SECRET)}
        if tuple(asked.query.values()) not in known:
            return Say(body={"errcode": 40001, "errmsg": "invalid credential"})
        with self._lock:
            self.given += 1
        return Say(body={"errcode": 0, "access_token": self.good, "expires_in": self.lasts})


YES = Say(
    body={"errcode": 0, "code": 0, "errmsg": "ok", "msgid": "m-1", "task_id": 77, "msg": "success"}
)


def no(code: int, words: str = "why") -> Say:
    return Say(body={"errcode": code, "code": code, "errmsg": words, "msg": words})


def sent(kind: str, act: Act, *, seconds: float = 5.0) -> Outcome:
    with FakeProvider(House(act)) as provider:
        return ALL[kind](provider, seconds).send(letter("anna.li"))


# --- what is asked ------------------------------------------------------------------------------


def test_wecom_sends_text_to_one_member_by_a_token() -> None:
    with FakeProvider(House(YES)) as provider:
        outcome = wecom(provider).send(letter("anna.li", subject="新客户", text="请回电。\n"))
    assert outcome == Accepted(provider_id="m-1")
    fetched, asked = provider.asked
    assert (fetched.method, fetched.path) == ("GET", "/cgi-bin/gettoken")
    assert asked.path == "/cgi-bin/message/send"
    assert asked.query == {"access_token": "token-1"}
    assert asked.json == {
        "touser": "anna.li",
        "agentid": 1000002,
        "msgtype": "text",
        "text": {"content": "新客户\n\n请回电。"},
    }


def test_dingtalk_notifies_one_employee_by_a_token() -> None:
    with FakeProvider(House(YES)) as provider:
        outcome = ding(provider).send(letter("anna.li", text="请回电。"))
    assert outcome == Accepted(provider_id="77")
    fetched, asked = provider.asked
    assert fetched.path == "/gettoken"
    assert asked.path == "/topapi/message/corpconversation/asyncsend_v2"
    assert asked.json == {
        "agent_id": 7,
        "userid_list": "anna.li",
        "msg": {"msgtype": "text", "text": {"content": "请回电。"}},
    }


def test_a_robot_of_wecom_speaks_by_its_key() -> None:
    with FakeProvider(House(YES)) as provider:
        assert isinstance(wecom_robot(provider).send(letter()), Accepted)
    (asked,) = provider.asked
    assert (asked.path, asked.query) == ("/cgi-bin/webhook/send", {"key": "k-1"})
    assert asked.json == {"msgtype": "text", "text": {"content": "谢谢您, Anna & co!"}}


def test_a_robot_of_dingtalk_signs_in_the_query() -> None:
    with FakeProvider(House(YES)) as provider:
        assert isinstance(ding_robot(provider).send(letter()), Accepted)
    (asked,) = provider.asked
    checks.dingtalk_robot(asked, SECRET, NOW)
    assert (asked.path, asked.query["access_token"]) == ("/robot/send", "t-1")
    assert asked.json == {"msgtype": "text", "text": {"content": "谢谢您, Anna & co!"}}


def test_a_robot_of_feishu_signs_in_the_body() -> None:
    with FakeProvider(House(YES)) as provider:
        assert feishu_robot(provider).send(letter()) == Accepted()
    (asked,) = provider.asked
    checks.feishu_robot(asked, SECRET, NOW)
    assert asked.path == "/open-apis/bot/v2/hook/t-1"
    assert asked.json["msg_type"] == "text"
    assert asked.json["content"] == {"text": "谢谢您, Anna & co!"}


def test_robots_without_a_secret_do_not_sign() -> None:
    with FakeProvider(House(YES)) as provider:
        DingtalkRobot("r", DingtalkRobotSettings(token="t", url=provider.url), client()).send(
            letter()
        )
        FeishuRobot("r", FeishuRobotSettings(token="t", url=provider.url), client()).send(letter())
    first, second = provider.asked
    assert first.query == {"access_token": "t"}
    assert set(second.json) == {"msg_type", "content"}


def test_a_signature_of_dingtalk_is_what_openssl_makes_of_it() -> None:
    """`printf '1577262236757\\nthis is secret' | openssl dgst -sha256 -hmac 'this is secret'`."""
    at = datetime.fromtimestamp(1577262236.757, UTC)
    signed = dingtalk.signature("this is secret", at)
    assert signed == {
        "timestamp": "1577262236757",
        "sign": "hmPWwU+7lVdm3ZZz0r9tSfx0L4Q26jWOZr9+Gs6EZQM=",
    }


def test_a_signature_of_feishu_is_what_openssl_makes_of_nothing_under_it() -> None:
    """`printf '' | openssl dgst -sha256 -hmac "$(printf '1599360473\\ndemo')"`."""
    signed = feishu.signature("demo", datetime.fromtimestamp(1599360473, UTC))
    assert signed == {
        "timestamp": "1599360473",
        "sign": "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8=",
    }


def test_a_customer_whose_name_would_ring_at_the_whole_group_does_not() -> None:
    text = 'Lead: <at user_id="all">Everyone</at> & <AT id=all></AT> <attic>'
    with FakeProvider(House(YES)) as provider:
        feishu_robot(provider).send(letter(text=text))
    content = provider.asked[0].json["content"]
    assert isinstance(content, dict)
    assert "<at" not in content["text"].lower()
    assert "</at" not in content["text"].lower()


@pytest.mark.parametrize("kind", APPS)
@pytest.mark.parametrize("user", ["", "@all", "@ALL", "anna|bob", "anna,bob", "an na", "a" * 65])
def test_an_address_that_names_everybody_or_several_is_a_no_about_her(kind: str, user: str) -> None:
    with FakeProvider(House(YES)) as provider:
        outcome = APPS[kind](provider, 5.0).send(letter(user))
        assert provider.connections == 0
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.fault) == ("address_malformed", Fault.RECIPIENT)


@pytest.mark.parametrize("open_", [wecom, wecom_robot])
def test_a_text_that_wecom_would_cut_is_not_sent(open_: Open) -> None:
    with FakeProvider(House(YES)) as provider:
        channel = open_(provider, 5.0)
        assert isinstance(channel.send(letter("anna", text="好" * 682)), Accepted)
        before = provider.connections
        outcome = channel.send(letter("anna", text="好" * 683))
        assert provider.connections == before
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.fault) == ("text_too_long", Fault.MESSAGE)


@pytest.mark.parametrize("kind", ROBOTS)
def test_a_robot_needs_no_address_and_reaches_somebody(kind: str) -> None:
    with FakeProvider(House(YES)) as provider:
        channel = ROBOTS[kind](provider, 5.0)
    assert channel.address is None
    assert channel.is_real
    assert channel.same_key_for is None


# --- tokens -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", APPS)
def test_one_token_serves_many_letters_of_many_threads(kind: str) -> None:
    house = House(YES)
    with FakeProvider(house) as provider, ThreadPoolExecutor(8) as pool:
        channel = APPS[kind](provider, 5.0)
        outcomes = list(pool.map(lambda _: channel.send(letter("anna")), range(24)))
    assert all(isinstance(each, Accepted) for each in outcomes)
    assert house.given == 1


@pytest.mark.parametrize("kind", APPS)
@pytest.mark.parametrize("stale", ["revoked", "expired"])
def test_a_token_that_is_no_longer_known_is_fetched_anew_and_the_letter_leaves_once(
    kind: str, stale: str
) -> None:
    house = House(YES)
    with FakeProvider(house) as provider:
        channel = APPS[kind](provider, 5.0)
        channel.send(letter("anna"))
        house.good = "token-2"
        assert isinstance(channel.send(letter("anna")), Accepted)
        assert isinstance(channel.send(letter("anna")), Accepted)
    assert house.given == 2
    sends = [a.query["access_token"] for a in provider.asked if a.method == "POST"]
    assert sends == ["token-1", "token-1", "token-2", "token-2"]


def test_the_code_that_dingtalk_wraps_fetches_a_token_anew_too() -> None:
    house = House(YES)
    wrapped = Say(body={"errcode": 88, "sub_code": "40014", "errmsg": "ding talk error"})

    def act(asked: Asked) -> Act:
        said = house(asked)
        return wrapped if isinstance(said, Say) and b"40014" in said.encoded() else said

    with FakeProvider(act) as provider:
        channel = ding(provider)
        channel.send(letter("anna"))
        house.good = "token-2"
        assert isinstance(channel.send(letter("anna")), Accepted)


@pytest.mark.parametrize("kind", APPS)
def test_a_provider_that_refuses_what_it_has_just_given_is_asked_twice_and_no_more(
    kind: str,
) -> None:
    with FakeProvider(House(no(42001))) as provider:
        outcome = APPS[kind](provider, 5.0).send(letter("anna"))
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.permanent) == ("no_token", False)
    assert len([a for a in provider.asked if a.method == "POST"]) == 2


@pytest.mark.parametrize("kind", APPS)
@pytest.mark.parametrize(
    "act",
    [Cut.AFTER_REQUEST, Cut.IN_BODY, SILENCE, Say(status=500), Say(body="{}"), no(40013),
     Say(body={"errcode": 0, "access_token": ""})],
    ids=repr,
)  # fmt: skip
def test_whatever_happens_to_the_token_the_letter_surely_did_not_leave(kind: str, act: Act) -> None:
    with FakeProvider(act if isinstance(act, Cut) else lambda _: act) as provider:
        outcome = APPS[kind](provider, 0.5).send(letter("anna"))
        assert [asked.method for asked in provider.asked] == ["GET"]
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.fault, outcome.permanent) == ("no_token", Fault.PROVIDER, False)


def test_a_secret_does_not_come_back_in_what_is_told() -> None:
    echo = Say(body={"errcode": 40001, "errmsg": "invalid credential, hint: [ab12]"})
    with FakeProvider(lambda _: echo) as provider:
        outcome = wecom(provider).send(letter("anna"))
    assert isinstance(outcome, Refused)
    assert SECRET not in repr(outcome)


def test_a_token_is_fetched_anew_before_it_ends() -> None:
    """Five minutes before; of one that is short-lived, at half its life."""
    now = 1000.0
    house = House(YES)
    with FakeProvider(house) as provider:
        ours = client()
        query = f"{provider.url}/gettoken?corpid=ww1&corpsecret={SECRET.replace('&', '%26')}"
        tokens = Tokens(ours, Request(url=query), {}, monotonic=lambda: now)

        def fetched_at(instant: float) -> int:
            nonlocal now
            now = instant
            assert isinstance(tokens.get(until=ours.until()), str)
            return house.given

        assert [fetched_at(1000.0), fetched_at(7899.0), fetched_at(7900.0)] == [1, 1, 2]
        house.lasts = 100
        assert [fetched_at(14_800.0), fetched_at(14_849.0), fetched_at(14_850.0)] == [3, 3, 4]


def test_a_letter_with_its_token_takes_no_longer_than_one_letter_may() -> None:
    """Where its time is over, neither a token is fetched nor a letter sent."""
    ours = client(seconds=0.3)
    with FakeProvider(House(YES)) as provider:
        settings = WecomAppSettings(corporation="ww1", secret=SECRET, agent=1, url=provider.url)
        channel = WecomApp("wecom", settings, ours)
        over = ours.until() - 10
        ours.until = lambda: over  # type: ignore[method-assign]
        outcome = channel.send(letter("anna"))
        assert provider.asked == []
    assert isinstance(outcome, Refused)
    assert outcome.code == "no_token"


# --- what is answered ---------------------------------------------------------------------------

MEANT: list[tuple[str, int, Fault | None, bool, timedelta | None]] = [
    ("wecom", 81013, Fault.RECIPIENT, True, None),
    ("wecom", 45002, Fault.MESSAGE, True, None),
    ("wecom", 60020, Fault.PROVIDER, False, timedelta(minutes=10)),
    ("wecom", 45009, Fault.PROVIDER, False, timedelta(minutes=1)),
    ("wecom", -1, Fault.PROVIDER, False, timedelta(seconds=30)),
    ("wecom", 999999, Fault.PROVIDER, False, None),
    ("wecom_robot", 93000, Fault.PROVIDER, False, timedelta(minutes=10)),
    ("wecom_robot", 45009, Fault.PROVIDER, False, timedelta(minutes=1)),
    ("ding", 33012, Fault.RECIPIENT, True, None),
    ("ding", 40035, Fault.MESSAGE, True, None),
    ("ding", 90018, Fault.PROVIDER, False, timedelta(minutes=1)),
    ("ding_robot", 310000, Fault.PROVIDER, False, timedelta(minutes=10)),
    ("ding_robot", 130101, Fault.PROVIDER, False, timedelta(minutes=10)),
    ("feishu_robot", 19021, Fault.PROVIDER, False, timedelta(minutes=10)),
    ("feishu_robot", 19024, Fault.MESSAGE, True, None),
    ("feishu_robot", 11232, Fault.PROVIDER, False, timedelta(minutes=1)),
    ("feishu_robot", 1500, None, False, None),
]


@pytest.mark.parametrize(("kind", "code", "fault", "permanent", "wait"), MEANT)
def test_what_a_code_means(
    kind: str, code: int, fault: Fault | None, permanent: bool, wait: timedelta | None
) -> None:
    outcome = sent(kind, no(code, "to anna@example.com"))
    if fault is None:
        assert isinstance(outcome, Ambiguous)
    else:
        assert isinstance(outcome, Refused)
        assert (outcome.fault, outcome.permanent) == (fault, permanent)
        assert outcome.retry_after == wait
    assert outcome.code == str(code)
    assert "anna" not in outcome.detail


@pytest.mark.parametrize("key", ["invaliduser", "unlicenseduser"])
def test_a_yes_that_names_her_as_invalid_is_a_no(key: str) -> None:
    outcome = sent("wecom", Say(body={"errcode": 0, key: "anna.li", "msgid": "m"}))
    assert isinstance(outcome, Refused)
    assert (outcome.fault, outcome.permanent) == (Fault.RECIPIENT, True)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    "act",
    [Cut.AFTER_REQUEST, Cut.IN_HEAD, Cut.IN_BODY, SILENCE, Say(status=500), Say(status=502),
     Say(status=504, body={"errcode": 0, "code": 0}), Say(body="ok"), Say(body="{}"),
     Say(body='{"errcode": false, "code": false}'), Say(body='{"errcode": 0, "code": 0')],
    ids=repr,
)  # fmt: skip
def test_what_may_have_arrived_and_what_cannot_be_read_is_known_to_nobody(
    kind: str, act: Act
) -> None:
    assert isinstance(sent(kind, act, seconds=0.5), Ambiguous)


@pytest.mark.parametrize("kind", ALL)
def test_not_now_is_a_no_for_now(kind: str) -> None:
    outcome = sent(kind, Say(status=503, headers={"Retry-After": "9"}))
    assert isinstance(outcome, Refused)
    assert (outcome.permanent, outcome.retry_after) == (False, timedelta(seconds=9))


def test_the_older_name_of_feishu_s_code_is_read_too() -> None:
    assert (
        sent("feishu_robot", Say(body={"StatusCode": 0, "StatusMessage": "success"})) == Accepted()
    )


@pytest.mark.parametrize("kind", ALL)
def test_nothing_left_when_the_connection_is_refused(kind: str) -> None:
    with FakeProvider(House(YES)) as provider:
        channel = ALL[kind](provider, 5.0)
    outcome = channel.send(letter("anna"))
    assert isinstance(outcome, Refused)
    assert (outcome.fault, outcome.permanent) == (Fault.PROVIDER, False)
