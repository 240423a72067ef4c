"""What customers do by the links of their letters; and that looking at a link does nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest

from lifecycle.bootstrap import Engine
from lifecycle.domain.instant import instant_text
from lifecycle.engine import keys
from lifecycle.engine.reading import customer
from lifecycle.outreach.addresses import address_hash
from lifecycle.outreach.tokens import Survey
from lifecycle.store import consents, events
from lifecycle.web.feedback.words import every_word
from tests.intake.bad_input import POLICY, event
from tests.policies import scenario_policy
from tests.web.conftest import running, serving
from tests.web.letters import Sent, leaving, scopes, secret_of, send, survey

WITH_LANGUAGE = POLICY.replace("{country: text,", "{country: text, language: text,")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</textarea><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "<!--<base href=//evil.example>",
)
MARKETING = {"purpose": "marketing", "channel": "email"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """On real time: who says something after something else is later."""
    url = f"sqlite:///{tmp_path / 'test.db'}"
    with running(url, tmp_path, policy=WITH_LANGUAGE, clock=None) as engine:
        yield engine


@pytest.fixture
def sent(engine: Engine, client: httpx.Client) -> Sent:
    """A letter to c1, who had agreed to marketing by e-mail."""
    post(client, agreed("agreed", days=-2), event(id="1"))
    engine.apply_pending()
    return send(engine)


def post(client: httpx.Client, *posted: Any) -> None:
    answer = client.post("/v1/events", json={"events": posted})
    assert answer.json()["accepted"] == len(posted), answer.text


def agreed(id: str, *, days: float = 0, **more: Any) -> Any:
    return event(
        id=id,
        type="consent_given",
        occurred_at=instant_text(datetime.now(UTC) + timedelta(days=days)),
        properties=MARKETING,
        **more,
    )


def told(engine: Engine, kind: str, key: str = "c1") -> list[dict[str, Any]]:
    """The properties of her events of a type, whether they are applied or not."""
    with engine.db.read() as tx:
        number = customer(engine.installation, key).number
        found = events.all_of(tx, number)
    return [dict(each.event.properties) for each in found if each.event.type == kind]


def standing(engine: Engine, key: str = "c1") -> dict[str, bool]:
    """Applied, as guards and verdicts see it."""
    engine.apply_pending()
    return dict(customer(engine.installation, key).consents)


def everything(engine: Engine) -> dict[str, Any]:
    with engine.db.read() as tx:
        tables = ("event", "pending", "suppression", "soft_bounce", "message", "customer")
        connection = tx.connection
        return {t: [tuple(r) for r in connection.execute(f"SELECT * FROM {t}")] for t in tables}


# -- looking


def test_a_thousand_scanners_change_nothing(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    leave = leaving(engine, sent)
    paths = [leave, f"{leave}/preferences", survey(engine, sent), "/u", confirming(client)]
    before = everything(engine)
    asked = [(m, p) for m in ("GET", "HEAD", "OPTIONS") for p in paths]

    def look(number: int) -> int:
        method, path = asked[number % len(asked)]
        return client.request(method, path).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(look, range(1000)))
    assert statuses == {200, 405}
    assert everything(engine) == before


def test_other_methods_do_nothing_either(engine: Engine, client: httpx.Client, sent: Sent) -> None:
    before = everything(engine)
    for method in ("PUT", "PATCH", "DELETE"):
        assert client.request(method, leaving(engine, sent)).status_code == 405
    assert everything(engine) == before


# -- leaving


def test_one_click_unsubscribes(engine: Engine, client: httpx.Client, sent: Sent) -> None:
    """RFC 8058: exactly this body, no cookie, and the answer is durable."""
    answer = client.post(leaving(engine, sent), content="List-Unsubscribe=One-Click", headers=FORM)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    (withdrawn,) = told(engine, "consent_withdrawn")
    assert (withdrawn["purpose"], withdrawn["channel"]) == ("marketing", "email")
    assert withdrawn["evidence"] == f"unsubscribed by the link of letter {sent.key} (one-click)"
    assert standing(engine) == {"marketing/email": False}
    assert scopes(engine, sent.address_hash) == {sent.address_hash: {"list:marketing"}}


def test_a_mailbox_may_post_it_as_multipart(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    files = {"List-Unsubscribe": (None, "One-Click")}
    assert client.post(leaving(engine, sent), files=files).status_code == 200
    assert "(one-click)" in told(engine, "consent_withdrawn")[0]["evidence"]


def test_unsubscribing_twice_is_once(engine: Engine, client: httpx.Client, sent: Sent) -> None:
    path = leaving(engine, sent)
    first, again = client.post(path), client.post(path)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.text == again.text
    assert len(told(engine, "consent_withdrawn")) == 1


def test_many_at_once_are_one(engine: Engine, client: httpx.Client, sent: Sent) -> None:
    path = leaving(engine, sent)
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: client.post(path).status_code, range(40))) == {200}
    assert len(told(engine, "consent_withdrawn")) == 1


def test_the_same_link_takes_back_what_she_has_given_since(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    client.post(leaving(engine, sent))
    post(client, agreed("again"))
    assert standing(engine) == {"marketing/email": True}
    client.post(leaving(engine, sent))
    assert standing(engine) == {"marketing/email": False}


def test_a_consent_that_is_dated_ahead_does_not_outlast_it(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    """The shop's clock is three minutes fast, and she leaves at once."""
    ahead = instant_text(datetime.now(UTC) + timedelta(minutes=3))
    post(client, {**agreed("fast"), "occurred_at": ahead})
    client.post(leaving(engine, sent))
    with engine.db.read() as tx:
        rows = consents.ledger(tx, sent.customer)
    assert consents.standing(rows) == {"marketing/email": False}
    assert [row.given for row in rows] == [True, False, True, False]
    assert standing(engine) == {"marketing/email": False}


def test_an_import_does_not_lift_it(engine: Engine, client: httpx.Client, sent: Sent) -> None:
    """Row 64: whatever a list of somebody says later, the address stays off."""
    client.post(leaving(engine, sent))
    post(client, agreed("list"))
    engine.apply_pending()
    assert scopes(engine, sent.address_hash) == {sent.address_hash: {"list:marketing"}}


def test_a_link_of_one_list_leaves_the_others_alone(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    client.post(leaving(engine, sent, purpose="survey"))
    assert standing(engine) == {"marketing/email": True, "survey/email": False}
    assert scopes(engine, sent.address_hash) == {sent.address_hash: {"list:survey"}}


# -- links that are not ours


def wrong_links(engine: Engine, sent: Sent) -> dict[str, str]:
    leave, ask = leaving(engine, sent), survey(engine, sent)
    flipped = "A" if leave[-1] != "A" else "B"
    return {
        "altered": leave[:-1] + flipped,
        "cut": leave[:-5],
        "of an unknown key": re.sub(r"v1\.[0-9a-f]{8}", "v1.00000000", leave),
        "for a survey": ask.replace("/s/", "/u/"),
        "nothing": "/u/x",
        "long": f"/u/{'x' * 5000}",
    }


def test_a_wrong_link_does_nothing_and_offers_a_way_by_hand(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    before = everything(engine)
    for what, path in wrong_links(engine, sent).items():
        for method in ("GET", "POST"):
            answer = client.request(method, path)
            assert answer.status_code == 400, what
            assert "This link does not work" in answer.text
            assert '<form method="post" action="../u">' in answer.text
        assert 'action="../../u"' in client.get(f"{path}/preferences").text
    assert client.post(leaving(engine, sent).replace("/u/", "/s/")).status_code == 400
    assert client.post(leaving(engine, sent).replace("/u/", "/c/")).status_code == 400
    assert everything(engine) == before


def test_by_hand_an_address_is_kept_from_marketing(engine: Engine, client: httpx.Client) -> None:
    """And the answer is the same whether anybody has it."""
    answer = client.post("/u", data={"address": " Ann@Example.com "})
    assert answer.status_code == 200
    assert "ann@example.com" not in answer.text.lower()
    hashed = address_hash(secret_of(engine), "email", "ann@example.com")
    number = address_hash(secret_of(engine), "sms", "+8613800000000")
    client.post("/u", data={"address": "+86 138 0000 0000"})
    assert scopes(engine, hashed, number) == {hashed: {"marketing"}, number: {"marketing"}}


def test_what_is_no_address_is_told(engine: Engine, client: httpx.Client) -> None:
    for typed in ("", "ann", "<script>", "a@b@c d"):
        assert client.post("/u", data={"address": typed}).status_code == 422
    assert everything(engine)["suppression"] == []


def test_strangers_cannot_type_without_end(client: httpx.Client) -> None:
    statuses = [
        client.post("/u", data={"address": f"a{n}@b.example"}).status_code for n in range(60)
    ]
    assert statuses[:30] == [200] * 30
    assert 429 in statuses


# -- choosing


def test_she_chooses_what_she_wants(engine: Engine, client: httpx.Client, sent: Sent) -> None:
    page = f"{leaving(engine, sent, purpose='survey')}/preferences"
    shown = client.get(page).text
    assert re.search(r'value="marketing/email" checked', shown)
    assert re.search(r'value="survey/email">', shown)
    answer = client.post(page, data={"wanted": "survey/email", "language": "zh"})
    assert answer.status_code == 200
    assert "您的偏好" in answer.text
    assert standing(engine) == {"marketing/email": False, "survey/email": True}
    assert told(engine, "profile_changed") == [{"attributes": {"language": "zh"}}]
    assert "您的偏好" in client.get(page).text


def agreed_to(purpose: str, channel: str) -> Any:
    said = agreed(f"{purpose}-{channel}", days=-1)
    return {**said, "properties": {"purpose": purpose, "channel": channel}}


def labels(client: httpx.Client, page: str, language: str) -> list[str]:
    shown = client.get(page, headers={"Accept-Language": language}).text
    return re.findall(r'<label><input type="checkbox"[^>]*>([^<]*)</label>', shown)


def test_what_is_agreed_to_for_every_channel_and_to_be_measured_is_worded(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    """Nobody takes the consent to be measured for one to be written to."""
    post(client, agreed_to("measurement", "all"), agreed_to("survey", "all"))
    post(client, agreed_to("measurement", "email"), agreed_to("loyalty", "pigeon"))
    engine.apply_pending()
    page = f"{leaving(engine, sent)}/preferences"
    assert labels(client, page, "en") == [
        "loyalty by pigeon",
        "offers and news by e-mail",
        "We may see what you open and click in messages on every channel. You get the same messages without it.",
        "We may see what you open and click in messages by e-mail. You get the same messages without it.",
        "surveys on every channel",
    ]
    assert labels(client, page, "zh") == [
        "通过pigeon发送的loyalty",
        "通过邮件发送的优惠与资讯",
        "允许我们统计您是否打开、点击通过所有渠道发送的信息。不勾选，信息照常发送。",
        "允许我们统计您是否打开、点击通过邮件发送的信息。不勾选，信息照常发送。",
        "通过所有渠道发送的问卷",
    ]


def test_she_is_asked_whether_she_may_be_measured_and_not_whether_to_write(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    path = confirming(client, purpose="measurement")
    assert "May we see what you open and click in messages by e-mail?" in client.get(path).text
    assert "From now on we see what you open and click" in client.post(path).text


def test_saving_the_same_twice_says_nothing_new(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    page = f"{leaving(engine, sent)}/preferences"
    client.post(page, data={"wanted": "survey/email", "language": "en"})
    before = everything(engine)["event"]
    client.post(page, data={"wanted": "survey/email", "language": ""})
    assert everything(engine)["event"] == before


def test_she_comes_back_by_her_own_choice(engine: Engine, client: httpx.Client, sent: Sent) -> None:
    """And leaves, and comes back once more."""
    leave = leaving(engine, sent)
    for _ in range(2):
        client.post(leave)
        assert standing(engine) == {"marketing/email": False}
        assert scopes(engine, sent.address_hash) == {sent.address_hash: {"list:marketing"}}
        client.post(f"{leave}/preferences", data={"wanted": "marketing/email"})
        assert standing(engine) == {"marketing/email": True}
        assert scopes(engine, sent.address_hash) == {}


def test_nothing_can_be_chosen_that_the_page_does_not_offer(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    page = f"{leaving(engine, sent)}/preferences"
    client.post(page, data={"wanted": ["marketing/email", "x/y", "lifecycle"], "language": "xx"})
    assert standing(engine) == {"marketing/email": True}
    assert told(engine, "profile_changed") == []


# -- answering


@pytest.mark.parametrize(
    ("kind", "form", "stored"),
    [
        (Survey.CSAT, {"score": "4"}, {"survey": "csat", "score": "4"}),
        (Survey.NPS, {"score": "0"}, {"survey": "nps", "score": "0"}),
        (
            Survey.CHURN,
            {"reason": "price", "comment": " too\r\ndear\x07 "},
            {"survey": "churn", "reason": "price", "comment": "too\ndear"},
        ),
    ],
)
def test_an_answer_is_an_event_that_guards_can_read(
    engine: Engine,
    client: httpx.Client,
    sent: Sent,
    kind: Survey,
    form: dict[str, str],
    stored: dict[str, str],
) -> None:
    page = survey(engine, sent, kind)
    assert client.get(page).status_code == 200
    assert "Thank you" in client.post(page, data=form).text
    (found,) = told(engine, "survey_answered")
    assert {name: str(value) for name, value in found.items()} == stored
    assert engine.apply_pending().events == 1


def test_the_first_answer_counts(engine: Engine, client: httpx.Client, sent: Sent) -> None:
    page = survey(engine, sent)
    client.post(page, data={"score": "5"})
    assert "That one counts" in client.post(page, data={"score": "1"}).text
    assert "That one counts" in client.get(page).text
    assert [str(each["score"]) for each in told(engine, "survey_answered")] == ["5"]


@pytest.mark.parametrize(
    "form",
    [{}, {"score": "6"}, {"score": "0"}, {"score": "1e0"}, {"score": "٣"}, {"reason": "price"}],
)
def test_what_is_no_answer_is_asked_again(
    engine: Engine, client: httpx.Client, sent: Sent, form: dict[str, str]
) -> None:
    answer = client.post(survey(engine, sent), data=form)
    assert answer.status_code == 422
    assert "Please choose one of the answers" in answer.text
    assert told(engine, "survey_answered") == []


def test_a_long_comment_is_kept_on_the_page_and_not_stored(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    text = "x" * 1001
    answer = client.post(survey(engine, sent), data={"score": "5", "comment": text})
    assert answer.status_code == 422
    assert text in answer.text
    assert told(engine, "survey_answered") == []


def test_a_form_beyond_measure_is_refused(engine: Engine, client: httpx.Client, sent: Sent) -> None:
    answer = client.post(survey(engine, sent), data={"score": "5", "comment": "x" * 17_000})
    assert answer.status_code == 413
    fields = "&".join(f"a{n}=1" for n in range(300)) + "&score=5"
    assert client.post(survey(engine, sent), content=fields, headers=FORM).status_code == 422
    broken = client.post(survey(engine, sent), content=b"score=5&comment=%ff", headers=FORM)
    assert broken.status_code == 422
    assert told(engine, "survey_answered") == []


# -- confirming


def confirming(client: httpx.Client, **changes: str) -> str:
    asked = {
        "customer_id": "c1",
        "purpose": "news",
        "channel": "email",
        "address": "ann@example.com",
        "source": "checkout",
        "text_version": "2026-01",
    }
    answer = client.post("/v1/consents", json=asked | changes)
    assert answer.status_code == 200, answer.text
    assert answer.json()["status"] == "pending"
    return str(httpx.URL(answer.json()["confirm_url"]).path)


def test_a_consent_counts_once_she_has_confirmed_it(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    path = confirming(client)
    assert "ann" not in path
    client.get(path)
    assert "news/email" not in standing(engine)
    assert client.post(path).status_code == 200
    assert client.post(path).status_code == 200
    assert standing(engine)["news/email"] is True
    given = told(engine, "consent_given")[-1]
    assert len(told(engine, "consent_given")) == 2
    assert re.fullmatch(
        r"double opt-in: asked at 20\S+Z by checkout, text 2026-01; confirmed by the link in the"
        r" message",
        given["evidence"],
    )


def test_a_link_to_confirm_is_good_once(engine: Engine, client: httpx.Client, sent: Sent) -> None:
    """Whoever left is not brought back by an old mail."""
    path = confirming(client)
    client.post(path)
    client.post(leaving(engine, sent, purpose="news"))
    client.post(path)
    assert standing(engine)["news/email"] is False
    assert scopes(engine, sent.address_hash) == {sent.address_hash: {"list:news"}}


def test_by_confirming_anew_she_comes_back(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    client.post(leaving(engine, sent, purpose="news"))
    client.post(confirming(client, source="a new form"))
    assert standing(engine)["news/email"] is True
    assert scopes(engine, sent.address_hash) == {}


@pytest.mark.parametrize(
    ("changes", "code", "status"),
    [
        ({"customer_id": "nobody"}, "not_found", 404),
        ({"purpose": ""}, "purpose_required", 422),
        ({"purpose": "a/b"}, "purpose_format", 422),
        ({"address": "x" * 400}, "address_format", 422),
        ({"emial": "x"}, "unknown_field", 422),
    ],
)
def test_what_cannot_be_asked_is_refused(
    client: httpx.Client, sent: Sent, changes: dict[str, str], code: str, status: int
) -> None:
    asked = dict.fromkeys(("purpose", "channel", "address", "source", "text_version"), "x")
    answer = client.post("/v1/consents", json={"customer_id": "c1", **asked, **changes})
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_purpose_that_no_rule_names_is_told_with_those_that_one_does(tmp_path: Path) -> None:
    """A consent to it would let nothing be sent, and nobody would find out. By an event it may come,
    and where no rule names any, all may be asked for, as the tests above do."""
    rules = ["{name: offer, on: request, channels: [email], class: marketing}"]
    rules += ["{name: ask, on: request, channels: [email], class: service, purpose: survey}"]
    url, policy = f"sqlite:///{tmp_path / 'own.db'}", scenario_policy(outreach=rules)
    with running(url, tmp_path, policy=policy, clock=None) as engine, serving(engine) as client:
        post(client, event(id="1", type="consent_given", properties=MARKETING))
        wanted = dict.fromkeys(("channel", "address", "source", "text_version"), "x")
        wanted |= {"customer_id": "c1", "purpose": "marketting"}
        answer = client.post("/v1/consents", json=wanted)
        told = answer.json()
        assert (answer.status_code, told["code"]) == (422, "unknown_purpose")
        assert told["pointer"] == "/purpose"
        assert told["expected"] == "one of marketing, survey"
        assert told["hint"] == 'did you mean "marketing"?'
        assert client.post("/v1/consents", json={**wanted, "purpose": "survey"}).status_code == 200
        misspelt = {**MARKETING, "purpose": "marketting"}
        post(client, event(id="2", type="consent_given", properties=misspelt))


def test_a_purpose_that_only_measuring_asks_for_can_be_asked_too(tmp_path: Path) -> None:
    """No rule has it: without it she is written to all the same, and not measured."""
    rules = ["{name: offer, on: request, channels: [email], class: marketing}"]
    url, policy = f"sqlite:///{tmp_path / 'own.db'}", scenario_policy(outreach=rules)
    (tmp_path / "channels.yaml").write_text(
        "channels:\n  email: {kind: file, folder: letters,"
        " measure: {opens: true, consent: measurement}}\n"
    )
    with running(url, tmp_path, policy=policy, clock=None) as engine, serving(engine) as client:
        post(client, event(id="1", type="consent_given", properties=MARKETING))
        wanted = dict.fromkeys(("channel", "address", "source", "text_version"), "x")
        wanted |= {"customer_id": "c1", "purpose": "measurement"}
        assert client.post("/v1/consents", json=wanted).status_code == 200
        told = client.post("/v1/consents", json={**wanted, "purpose": "measuring"}).json()
        assert told["code"] == "unknown_purpose"
        assert told["expected"] == "one of marketing, measurement"


# -- what pages are like


class Seen(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_somebody_wrote_is_shown_as_text(
    engine: Engine, client: httpx.Client, text: str
) -> None:
    """In the name of a list, in her language, and in a comment that comes back to be mended."""
    post(client, event(id="1", customer_id="c2"))
    said = {"attributes": {"language": text}}
    post(client, event(id="2", customer_id="c2", type="profile_changed", properties=said))
    engine.apply_pending()
    sent = send(engine, key="c2")
    leave = leaving(engine, sent, purpose=text)
    pages = [
        client.get(leave),
        client.get(f"{leave}/preferences"),
        client.post(leave),
        client.post(survey(engine, sent), data={"score": text, "comment": text}),
    ]
    for page in pages:
        seen = Seen(page.text)
        assert not {"script", "img", "svg", "base", "iframe"} & set(seen.tags)
        assert not [name for name in seen.attributes if name.startswith("on")]
    if "{{" in text:
        assert text in pages[0].text  # as it was written: no template was made of it


def test_every_page_has_the_strictest_headers(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    leave = leaving(engine, sent)
    for path in (leave, f"{leave}/preferences", survey(engine, sent), "/u", "/u/x"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "set-cookie" not in headers


def everyones(engine: Engine, client: httpx.Client, sent: Sent) -> list[httpx.Response]:
    """One of each kind of page that a customer may see."""
    leave = leaving(engine, sent)
    return [
        client.get(leave),
        client.post(leave),
        client.get(f"{leave}/preferences"),
        client.get(survey(engine, sent)),
        client.post(survey(engine, sent), data={"score": "5"}),
        client.get(confirming(client)),
        client.get("/u"),
        client.post("/u", data={"address": "ann@example.com"}),
        client.get("/u/x"),
        client.get("/r/x"),
    ]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_says_who_we_are(tmp_path: Path, language: str) -> None:
    (tmp_path / "channels.yaml").write_text(
        "company: {name: Müller & Söhne <3, website: 'https://www.example.com/', email: care@example.com}",
        encoding="utf-8",
    )
    url, name = f"sqlite:///{tmp_path / 'test.db'}", "Müller &amp; Söhne &lt;3"
    with (
        running(url, tmp_path, policy=WITH_LANGUAGE, clock=None) as engine,
        serving(engine) as client,
    ):
        client.headers["Accept-Language"] = language
        post(client, agreed("agreed", days=-2), event(id="1"))
        engine.apply_pending()
        for answer in everyones(engine, client, send(engine)):
            assert f'<p class="brand">{name}</p>' in answer.text, answer.url
            assert f" · {name}</title>" in answer.text
            assert (
                '<a href="https://www.example.com/" rel="noreferrer">www.example.com</a>'
                in answer.text
            )
            assert '<a href="mailto:care@example.com">care@example.com</a>' in answer.text


def test_without_a_company_no_page_says_who_we_are(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    for answer in everyones(engine, client, sent):
        assert '<p class="brand">' not in answer.text
        assert "<footer>" not in answer.text
        assert " · " not in answer.text


def test_the_style_of_a_page_is_the_one_that_its_policy_allows(client: httpx.Client) -> None:
    import base64
    import hashlib

    answer = client.get("/u")
    (style,) = re.findall("<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("fr, en;q=0.5, zh;q=0.7", "zh"),
        ("fr", "en"),
        ("", "en"),
        ("zh;q=broken", "en"),
    ],
)
def test_a_page_speaks_a_language_that_the_browser_accepts(
    client: httpx.Client, accepted: str, language: str
) -> None:
    answer = client.get("/u", headers={"Accept-Language": accepted})
    assert f'<html lang="{language}">' in answer.text


def test_no_word_is_missing_in_any_language() -> None:
    english, chinese = every_word()["en"], every_word()["zh"]
    assert english.keys() == chinese.keys()
    for name, text in english.items():
        assert set(re.findall(r"{\w+}", text)) == set(re.findall(r"{\w+}", chinese[name])), name


def test_customers_need_no_key_and_may_come_by_any_name(
    engine: Engine, client: httpx.Client, sent: Sent
) -> None:
    path = leaving(engine, sent)
    assert client.get(path, headers={"Host": "care.example.com"}).status_code == 200
    keys.create(engine.db, "shop", [], by="olga")
    with serving(engine) as other:
        assert other.get("/v1/transitions").status_code == 401
        assert other.post(path, headers={"Host": "care.example.com"}).status_code == 200
    assert standing(engine) == {"marketing/email": False}
