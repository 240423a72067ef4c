"""SMS: signatures as the providers check them, what is asked, and what every kind of answer means."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from lifecycle.outreach.channels import Channel, aliyun, tencent
from lifecycle.outreach.channels.aliyun import Aliyun, AliyunSettings
from lifecycle.outreach.channels.http import Request
from lifecycle.outreach.channels.tencent import Tencent, TencentSettings
from lifecycle.outreach.channels.twilio import Twilio, TwilioSettings
from lifecycle.outreach.outcome import Accepted, Ambiguous, Fault, Outcome, Refused
from tests.outreach.channels.letters import KEY, NOW, client, letter
from tests.support import signatures as checks
from tests.support.providers import SILENCE, Act, Asked, Cut, FakeProvider, Say, each

HER = "+8613800138000"
FACTS = {"orders": 3, "revenue": Decimal("12.50"), "last_order_at": date(2026, 2, 1)}
Open = Callable[[FakeProvider, float], Channel]


def open_aliyun(provider: FakeProvider, seconds: float = 5.0, secret: str = "s&cret") -> Channel:
    templates = {
        "thanks": aliyun.Template(code="SMS_1", parameters={"who": "name", "n": "orders"}),
        "thanks.en": aliyun.Template(code="SMS_2"),
    }
    settings = AliyunSettings(
        key_id="LTAI", key_secret=secret, signature="某品牌", templates=templates, url=provider.url
    )
    return Aliyun("sms", settings, client(seconds=seconds))


def open_tencent(provider: FakeProvider, seconds: float = 5.0, secret: str = "s&cret") -> Channel:
    templates = {
        "thanks": tencent.Template(code="1001", parameters=("name", "revenue", "last_order_at"))
    }
    settings = TencentSettings(
        key_id="AKID",
        key_secret=secret,
        app="1400",
        signature="某品牌",
        templates=templates,
        url=provider.url,
    )
    return Tencent("sms", settings, client(seconds=seconds))


def open_twilio(provider: FakeProvider, seconds: float = 5.0, secret: str = "s&cret") -> Channel:
    settings = TwilioSettings(
        account="AC1", key="SK1", secret=secret, sender="+15005550006", url=provider.url
    )
    return Twilio("sms", settings, client(seconds=seconds))


OPEN: Mapping[str, Open] = {"aliyun": open_aliyun, "tencent": open_tencent, "twilio": open_twilio}


def yes(kind: str) -> Say:
    """As each of them says that it took a letter."""
    return {
        "aliyun": Say(body={"Code": "OK", "Message": "OK", "BizId": "biz-1", "RequestId": "r"}),
        "tencent": Say(
            body={
                "Response": {
                    "SendStatusSet": [
                        {"SerialNo": "biz-1", "PhoneNumber": HER, "Code": "Ok", "Message": "ok"}
                    ],
                    "RequestId": "r",
                }
            }
        ),
        "twilio": Say(status=201, body={"sid": "biz-1", "status": "queued"}),
    }[kind]


def no(kind: str, code: str, words: str = "why") -> Say:
    """As each of them says no to one letter."""
    if kind == "aliyun":
        return Say(body={"Code": code, "Message": words, "RequestId": "r"})
    if kind == "tencent":
        return Say(body={"Response": {"SendStatusSet": [{"Code": code, "Message": words}]}})
    return Say(status=400, body={"code": int(code), "message": words, "status": 400})


def guarded(kind: str) -> Callable[[Asked], Act]:
    """A provider that says yes to whoever signs as it asks."""

    def act(asked: Asked) -> Act:
        try:
            match kind:
                case "aliyun":
                    checks.aliyun(asked, "LTAI", "s&cret")
                case "tencent":
                    checks.tencent(asked, "AKID", "s&cret", NOW)
                case _:
                    checks.basic(asked, "SK1", "s&cret")
        except AssertionError:
            return {
                "aliyun": Say(status=400, body={"Code": "SignatureDoesNotMatch", "Message": ""}),
                "tencent": Say(
                    body={"Response": {"Error": {"Code": "AuthFailure.SignatureFailure"}}}
                ),
                "twilio": Say(status=401, body={"code": 20003, "message": "Authenticate"}),
            }[kind]
        return yes(kind)

    return act


def sent(kind: str, act: Act, *, seconds: float = 5.0) -> Outcome:
    with FakeProvider(act) as provider:
        return OPEN[kind](provider, seconds).send(letter(HER, facts={"facts": FACTS}))


# --- signatures ---------------------------------------------------------------------------------


def test_the_vector_of_acs3_in_the_provider_s_documents() -> None:
    settings = AliyunSettings(
        key_id="YourAccessKeyId",
        key_secret="YourAccessKeySecret",
        signature="",
        url="https://ecs.cn-shanghai.aliyuncs.com",
    )
    query = {
        "RegionId": "cn-shanghai",
        "ImageId": "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd",
    }
    request = aliyun.signed(
        settings,
        action="RunInstances",
        version="2014-05-26",
        query=query,
        at=datetime(2023, 10, 26, 10, 22, 32, tzinfo=UTC),
        nonce="3156853299f313e23d1673dc12e1703d",
    )
    assert request.headers["Authorization"].endswith(
        ",Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"
    )


def test_the_vector_of_tc3_in_the_provider_s_documents() -> None:
    settings = TencentSettings(
        key_id="AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE",
        key_secret="Gu5t9xGARNpq86cd98joQYCN3EXAMPLE",
        app="",
        signature="",
    )
    body = (
        rb'{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}'
    )
    request = Request(
        url="https://cvm.tencentcloudapi.com/",
        headers={"Content-Type": "application/json; charset=utf-8"},
        body=body,
    )
    at = datetime.fromtimestamp(1551113065, UTC)
    signed = tencent.signed(settings, request, service="cvm", at=at)
    assert signed.headers["Authorization"].endswith(
        "SignedHeaders=content-type;host,"
        " Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168"
    )


@pytest.mark.parametrize("kind", OPEN)
def test_a_letter_that_is_signed_as_the_provider_checks_it_leaves(kind: str) -> None:
    with FakeProvider(guarded(kind)) as provider:
        channel = OPEN[kind](provider, 5.0)
        assert channel.send(letter(HER, facts={"facts": FACTS})) == Accepted(provider_id="biz-1")


@pytest.mark.parametrize("kind", OPEN)
def test_a_wrong_key_is_held_against_us_and_not_against_the_letter(kind: str) -> None:
    wrong = {"aliyun": open_aliyun, "tencent": open_tencent, "twilio": open_twilio}[kind]
    with FakeProvider(guarded(kind)) as provider:
        outcome = wrong(provider, secret="wrong").send(letter(HER, facts={"facts": FACTS}))
    assert isinstance(outcome, Refused)
    assert (outcome.fault, outcome.permanent) == (Fault.PROVIDER, False)


# --- what is asked ------------------------------------------------------------------------------


def test_aliyun_is_asked_for_a_registered_template_with_text_in_its_parameters() -> None:
    with FakeProvider(yes("aliyun")) as provider:
        open_aliyun(provider).send(letter(HER, facts={"facts": FACTS}))
    (asked,) = provider.asked
    assert asked.headers["x-acs-action"] == "SendSms"
    assert asked.headers["x-acs-version"] == "2017-05-25"
    query = asked.query
    assert json.loads(query.pop("TemplateParam")) == {"who": "Anna", "n": "3"}
    assert query == {
        "PhoneNumbers": "13800138000",
        "SignName": "某品牌",
        "TemplateCode": "SMS_1",
        "OutId": KEY,
    }


def test_aliyun_reads_what_stands_in_its_query_as_it_was_meant() -> None:
    """And its signature holds, whatever a customer is called."""
    name = "Anna & Bob=c d+e*~/?#%26 中 'x'"
    with FakeProvider(guarded("aliyun")) as provider:
        outcome = open_aliyun(provider).send(letter(HER, facts={"facts": FACTS}, name=name))
    assert isinstance(outcome, Accepted)
    assert json.loads(provider.asked[0].query["TemplateParam"])["who"] == name


def test_aliyun_writes_a_number_abroad_without_the_plus() -> None:
    with FakeProvider(yes("aliyun")) as provider:
        open_aliyun(provider).send(letter("+85261234567", language="en"))
    assert provider.asked[0].query["PhoneNumbers"] == "85261234567"


def test_a_template_of_the_letter_s_language_wins() -> None:
    with FakeProvider(yes("aliyun")) as provider:
        open_aliyun(provider).send(letter(HER, language="en"))
    query = provider.asked[0].query
    assert query["TemplateCode"] == "SMS_2"
    assert "TemplateParam" not in query


def test_tencent_is_asked_with_the_parameters_in_their_order() -> None:
    with FakeProvider(yes("tencent")) as provider:
        open_tencent(provider).send(letter(HER, facts={"facts": FACTS}))
    (asked,) = provider.asked
    assert (asked.headers["x-tc-action"], asked.headers["x-tc-version"]) == (
        "SendSms",
        "2021-01-11",
    )
    assert asked.json == {
        "PhoneNumberSet": [HER],
        "SmsSdkAppId": "1400",
        "SignName": "某品牌",
        "TemplateId": "1001",
        "TemplateParamSet": ["Anna", "12.50", "2026-02-01"],
        "SessionContext": KEY,
    }


def test_twilio_is_given_the_text_itself() -> None:
    with FakeProvider(yes("twilio")) as provider:
        open_twilio(provider).send(letter(HER))
    (asked,) = provider.asked
    assert asked.path == "/2010-04-01/Accounts/AC1/Messages.json"
    assert asked.form == {"To": HER, "From": "+15005550006", "Body": "谢谢您, Anna & co!"}


def test_twilio_sends_by_a_messaging_service_where_one_is_set() -> None:
    with FakeProvider(yes("twilio")) as provider:
        settings = TwilioSettings(account="AC1", secret="s", sender="MG1", url=provider.url)
        Twilio("sms", settings, client()).send(letter(HER))
    assert provider.asked[0].form["MessagingServiceSid"] == "MG1"
    checks.basic(provider.asked[0], "AC1", "s")


@pytest.mark.parametrize("kind", OPEN)
@pytest.mark.parametrize(
    "number",
    ["", "13800138000", "+86 138 0013 8000", "+0123456789", "+123456", "+86138\n", "+８６１３８００１３８０００",
     "+8613800138000,+8613900139000", "+1" + "2" * 15],
)  # fmt: skip
def test_what_is_no_number_in_e164_is_a_no_about_her_and_nobody_is_asked(
    kind: str, number: str
) -> None:
    with FakeProvider(yes(kind)) as provider:
        outcome = OPEN[kind](provider, 5.0).send(letter(number, facts={"facts": FACTS}))
        assert provider.connections == 0
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.fault, outcome.permanent) == (
        "address_malformed",
        Fault.RECIPIENT,
        True,
    )
    assert "138" not in outcome.detail


@pytest.mark.parametrize("kind", ["aliyun", "tencent"])
def test_a_message_without_a_registered_template_is_not_sent_by_any_other(kind: str) -> None:
    with FakeProvider(yes(kind)) as provider:
        outcome = OPEN[kind](provider, 5.0).send(
            letter(HER, rule="birthday", facts={"facts": FACTS})
        )
        assert provider.connections == 0
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.fault) == ("no_template_code", Fault.MESSAGE)


@pytest.mark.parametrize(("kind", "missing"), [("aliyun", "orders"), ("tencent", "revenue")])
def test_a_parameter_without_a_value_is_named_and_nothing_is_sent(kind: str, missing: str) -> None:
    facts = {name: value for name, value in FACTS.items() if name != missing}
    with FakeProvider(yes(kind)) as provider:
        outcome = OPEN[kind](provider, 5.0).send(letter(HER, facts={"facts": facts}))
        assert provider.connections == 0
    assert isinstance(outcome, Refused)
    assert outcome.code == "template_parameter_missing"
    assert missing in outcome.detail


def test_without_any_registered_template_a_channel_is_not_ready() -> None:
    settings = AliyunSettings(key_id="a", key_secret="b", signature="c")
    assert len(Aliyun("sms", settings, client()).unready(marketing=False)) == 1
    ours = TencentSettings(key_id="a", key_secret="b", app="1", signature="c")
    assert len(Tencent("sms", ours, client()).unready(marketing=False)) == 1


def test_a_text_that_twilio_would_refuse_is_not_sent() -> None:
    with FakeProvider(yes("twilio")) as provider:
        outcome = open_twilio(provider).send(letter(HER, text="a" * 1601))
        assert provider.connections == 0
    assert isinstance(outcome, Refused)
    assert outcome.code == "text_too_long"


def test_a_key_is_never_shown() -> None:
    assert "s&cret" not in repr(
        AliyunSettings(key_id="a", key_secret="s&cret", signature="c")
    ) + repr(TencentSettings(key_id="a", key_secret="s&cret", app="1", signature="c")) + repr(
        TwilioSettings(account="a", secret="s&cret", sender="c")
    )


# --- what is answered ---------------------------------------------------------------------------

HOURS = timedelta(hours=1)

MEANT: list[tuple[str, str, Fault | None, bool, timedelta | None]] = [
    # provider, code, whose fault (None: nobody knows), for good, when again
    ("aliyun", "isv.MOBILE_NUMBER_ILLEGAL", Fault.RECIPIENT, True, None),
    ("aliyun", "isv.BUSINESS_LIMIT_CONTROL", Fault.RECIPIENT, False, HOURS),
    ("aliyun", "isv.SMS_TEMPLATE_ILLEGAL", Fault.MESSAGE, True, None),
    ("aliyun", "isv.BLACK_KEY_CONTROL_LIMIT", Fault.MESSAGE, True, None),
    ("aliyun", "isv.AMOUNT_NOT_ENOUGH", Fault.PROVIDER, False, timedelta(minutes=10)),
    ("aliyun", "Throttling.User", Fault.PROVIDER, False, timedelta(minutes=1)),
    ("aliyun", "InvalidAccessKeyId.NotFound", Fault.PROVIDER, False, timedelta(minutes=10)),
    ("aliyun", "isv.SOMETHING_NEW", Fault.PROVIDER, False, None),
    ("aliyun", "isp.SYSTEM_ERROR", None, False, None),
    ("tencent", "FailedOperation.PhoneNumberInBlacklist", Fault.RECIPIENT, True, None),
    ("tencent", "InvalidParameterValue.IncorrectPhoneNumber", Fault.RECIPIENT, True, None),
    ("tencent", "LimitExceeded.PhoneNumberOneHourLimit", Fault.RECIPIENT, False, HOURS),
    ("tencent", "FailedOperation.TemplateIncorrectOrUnapproved", Fault.MESSAGE, True, None),
    ("tencent", "InvalidParameterValue.SomethingNew", Fault.MESSAGE, True, None),
    ("tencent", "FailedOperation.InsufficientBalanceInSmsPackage", Fault.PROVIDER, False,
     timedelta(minutes=10)),
    ("tencent", "RequestLimitExceeded.IPLimitExceeded", Fault.PROVIDER, False,
     timedelta(minutes=1)),
    ("tencent", "InternalError.SigVerificationFail", Fault.PROVIDER, False,
     timedelta(minutes=10)),
    ("tencent", "InternalError.Timeout", None, False, None),
    ("twilio", "21211", Fault.RECIPIENT, True, None),
    ("twilio", "21610", Fault.RECIPIENT, True, None),
    ("twilio", "21614", Fault.RECIPIENT, True, None),
    ("twilio", "21617", Fault.MESSAGE, True, None),
    ("twilio", "21606", Fault.PROVIDER, False, timedelta(minutes=10)),
    ("twilio", "20429", Fault.PROVIDER, False, timedelta(seconds=30)),
    ("twilio", "99999", Fault.PROVIDER, False, None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "code", "fault", "permanent", "wait"), MEANT)
def test_what_a_code_means(
    kind: str, code: str, fault: Fault | None, permanent: bool, wait: timedelta | None
) -> None:
    outcome = sent(kind, no(kind, code, f"{HER} is why"))
    if fault is None:
        assert isinstance(outcome, Ambiguous)
    else:
        assert isinstance(outcome, Refused)
        assert (outcome.fault, outcome.permanent) == (fault, permanent)
        assert outcome.retry_after == wait
    assert outcome.code == code
    assert "138" not in outcome.detail


@pytest.mark.parametrize("kind", OPEN)
@pytest.mark.parametrize(
    "act",
    [
        Cut.AFTER_REQUEST,
        Cut.IN_HEAD,
        Cut.IN_BODY,
        SILENCE,
        Say(status=500, body={"code": "x"}),
        Say(status=502, body="<html>"),
        Say(status=504),
        Say(body="<html>a wall of the hotel</html>"),
        Say(body="[]"),
        Say(body="{}"),
        Say(body='{"Response": {"SendStatusSet": []}}'),
        Say(body='{"Code": true, "sid": null, "Response": {}}'),
    ],
    ids=repr,
)
def test_what_may_have_arrived_and_what_cannot_be_read_is_known_to_nobody(
    kind: str, act: Act
) -> None:
    assert isinstance(sent(kind, act, seconds=0.5), Ambiguous)


def test_a_yes_that_is_longer_than_is_read_of_any_answer_is_known_to_nobody() -> None:
    padded = Say(body={"Code": "OK", "BizId": "b", "Message": "x" * 70_000})
    assert isinstance(sent("aliyun", padded), Ambiguous)


@pytest.mark.parametrize("kind", OPEN)
@pytest.mark.parametrize("status", [429, 503])
def test_too_many_and_not_now_come_again_when_the_provider_says(kind: str, status: int) -> None:
    act = Say(
        status=status, body={"Code": "Throttling", "code": 20429}, headers={"Retry-After": "9"}
    )
    outcome = sent(kind, act)
    assert isinstance(outcome, Refused)
    assert (outcome.permanent, outcome.retry_after) == (False, timedelta(seconds=9))


@pytest.mark.parametrize("kind", OPEN)
def test_nothing_left_when_the_connection_is_refused(kind: str) -> None:
    with FakeProvider(Say()) as provider:
        channel = OPEN[kind](provider, 5.0)
    outcome = channel.send(letter(HER, facts={"facts": FACTS}))
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.fault, outcome.permanent) == (
        "connect_failed",
        Fault.PROVIDER,
        False,
    )


def test_a_refusal_ends_only_its_own_letter() -> None:
    acts = each(yes("twilio"), no("twilio", "21610"), Cut.AFTER_REQUEST, yes("twilio"))
    with FakeProvider(acts) as provider:
        channel = open_twilio(provider)
        outcomes = [channel.send(letter(HER)) for _ in range(4)]
    assert [type(each) for each in outcomes] == [Accepted, Refused, Ambiguous, Accepted]
