"""Standard Webhooks: what is signed, with how many secrets, and what an answer means."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from lifecycle.errors import Unusable
from lifecycle.outreach.channels import Channel
from lifecycle.outreach.channels.http import Client
from lifecycle.outreach.channels.webhook import Webhook, WebhookSettings, secret_of, signatures
from lifecycle.outreach.outcome import Accepted, Ambiguous, Fault, Refused
from tests.outreach.channels.letters import KEY, NOW, client, letter
from tests.support import signatures as checks
from tests.support.providers import SILENCE, Act, Cut, FakeProvider, Say

OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()
NEW = "whsec_" + base64.b64encode(b"n" * 64).decode()


def hook(provider: FakeProvider, *, seconds: float = 5.0, same: timedelta | None = None) -> Webhook:
    settings = WebhookSettings(
        url=f"{provider.url}/in?x=1",
        secrets=(secret_of(NEW), secret_of(OLD)),
        same_key_for=same,
    )
    return Webhook("crm", settings, client(seconds=seconds))


def test_the_vector_of_the_reference_libraries() -> None:
    secret = secret_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    found = signatures([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", [OLD, NEW])
def test_a_receiver_with_either_secret_finds_its_signature(secret: str) -> None:
    with FakeProvider(Say(status=204)) as provider:
        assert hook(provider).send(letter()) == Accepted()
    (asked,) = provider.asked
    checks.standard_webhook(asked, secret, NOW)
    assert asked.headers["webhook-id"] == KEY
    assert asked.target == "/in?x=1"


def test_a_receiver_with_a_foreign_secret_finds_none() -> None:
    with FakeProvider(Say()) as provider:
        hook(provider).send(letter())
    foreign = "whsec_" + base64.b64encode(b"f" * 32).decode()
    with pytest.raises(AssertionError):
        checks.standard_webhook(provider.asked[0], foreign, NOW)


def test_it_tells_who_and_what_and_nothing_that_changes_between_tries() -> None:
    facts = {
        "revenue": Decimal("1234.50"),
        "last_order_at": datetime(2026, 2, 1, 8, tzinfo=timezone(timedelta(hours=8))),
        "usual_gap": timedelta(days=3),
        "orders": 4,
    }
    with FakeProvider(Say()) as provider:
        ours = hook(provider)
        ours.send(letter("anna", facts=facts))
        ours.send(letter("anna", facts=facts))
    first, second = provider.asked
    assert first.body == second.body
    data = first.json["data"]
    assert isinstance(data, dict)
    assert first.json["type"] == "lifecycle.message"
    assert (data["key"], data["customer"], data["address"]) == (KEY, "c-1", "anna")
    assert data["text"] == "谢谢您, Anna & co!\n"
    assert data["links"]["unsubscribe"] == "https://care.example/u/t"
    assert data["facts"] == {
        "revenue": "1234.50",
        "last_order_at": "2026-02-01T08:00:00+08:00",
        "usual_gap": 259200.0,
        "orders": 4,
    }


@pytest.mark.parametrize(
    ("text", "facts"), [("half of a character: \ud83d", {}), ("fine", {"orders": 2**64})]
)
def test_what_cannot_be_written_is_a_no_about_the_message_and_nobody_is_asked(
    text: str, facts: dict[str, object]
) -> None:
    with FakeProvider(Say()) as provider:
        outcome = hook(provider).send(letter(text=text, facts=facts))
        assert provider.connections == 0
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.fault) == ("letter_malformed", Fault.MESSAGE)


def test_without_links_it_says_that_there_are_none() -> None:
    with FakeProvider(Say()) as provider:
        hook(provider).send(replace(letter(), links=None))
    data = provider.asked[0].json["data"]
    assert isinstance(data, dict)
    assert data["links"] is None


def test_410_is_a_no_for_good_that_says_to_disable_it() -> None:
    with FakeProvider(Say(status=410, body="<b>private</b>")) as provider:
        outcome = hook(provider).send(letter())
    assert isinstance(outcome, Refused)
    assert outcome.permanent
    assert "disable" in outcome.detail
    assert "private" not in outcome.detail


def test_a_redirect_is_a_failure() -> None:
    with FakeProvider(Say(status=307, headers={"Location": "http://127.0.0.1:1/"})) as provider:
        outcome = hook(provider).send(letter())
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.permanent) == ("http_307", True)


@pytest.mark.parametrize("act", [Cut.AFTER_REQUEST, SILENCE, Say(status=500), Say(status=502)])
def test_where_it_may_have_arrived_nobody_knows(act: Act) -> None:
    with FakeProvider(act) as provider:
        assert isinstance(hook(provider, seconds=0.3).send(letter()), Ambiguous)


@pytest.mark.parametrize(("same", "permanent"), [(None, True), (timedelta(days=1), False)])
def test_a_conflict_is_work_that_goes_on_only_where_the_receiver_knows_ids(
    same: timedelta | None, permanent: bool
) -> None:
    with FakeProvider(Say(status=409)) as provider:
        ours = hook(provider, same=same)
        assert ours.same_key_for == same
        outcome = ours.send(letter())
    assert isinstance(outcome, Refused)
    assert outcome.permanent is permanent


def test_a_2xx_is_a_yes_although_its_body_is_cut() -> None:
    with FakeProvider(Cut.IN_BODY) as provider:
        assert hook(provider).send(letter()) == Accepted()


def test_a_private_target_is_blocked_as_a_fault_of_nobody_but_the_setting() -> None:
    settings = WebhookSettings(url="https://127.0.0.1/", secrets=(secret_of(OLD),))
    ours = Webhook("crm", settings, Client())
    outcome = ours.send(letter())
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.fault) == ("blocked_target", Fault.PROVIDER)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        base64.b64encode(b"x" * 32).decode(),
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "whsec_!!!!",
        "whsec_ключ",
    ],
)
def test_a_secret_that_is_too_short_too_long_or_none_is_refused_unseen(text: str) -> None:
    with pytest.raises(Unusable, match="24 to 64 bytes") as caught:
        secret_of(text)
    assert len(text) < 8 or text not in str(caught.value)


def test_it_is_a_channel_that_reaches_somebody() -> None:
    with FakeProvider(Say()) as provider:
        channel: Channel = hook(provider)
    assert channel.is_real
    assert channel.address is None
    assert channel.unready(marketing=True) == ()
    channel.close()
