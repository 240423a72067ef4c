"""The messages that an installation starts with: every rule of the default policy has its texts.

Each is filled in for two customers: one of whom we know all that the rule can supply, and one of whom
we know only what is sure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from lifecycle.domain.policy import FactKind, MessageClass, OutreachRule, ValueType
from lifecycle.outreach.letter import Rendered
from lifecycle.outreach.templates.catalogue import Catalogue, Template
from lifecycle.outreach.templates.check import check
from lifecycle.outreach.templates.mail import CLIPPED_AT
from lifecycle.outreach.templates.names import Supplied, supplied
from lifecycle.outreach.templates.renderer import Renderer
from lifecycle.outreach.templates.sms import segments_of
from lifecycle.policy import load
from lifecycle.resources import config_dir, templates_dir

POLICY = load(config_dir() / "policy.yaml").policy
LANGUAGES = ("zh", "en")
NOW = datetime(2026, 2, 17, 1, 0, tzinfo=UTC)  # nine in the morning in Shanghai, lunar new year

UNSUBSCRIBE = "https://mail.example.com/u/token"
PREFERENCES = "https://mail.example.com/p/token"
SURVEY = "https://mail.example.com/s/token"
SURVEYS = ("survey", "churn-questionnaire")


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One place at which a text has to be."""

    rule: OutreachRule
    step: int
    variant: str | None
    channel: str
    language: str

    def __str__(self) -> str:
        words = (self.rule.name, str(self.step), self.variant, self.channel, self.language)
        return "-".join(word for word in words if word)

    @property
    def marketing(self) -> bool:
        return self.rule.message_class is MessageClass.MARKETING


def wanted() -> Iterator[Text]:
    for rule in POLICY.outreach:
        for step in range(1, len(rule.delays) + 1):
            for variant in rule.variants or (None,):
                for channel in rule.channels:
                    for language in LANGUAGES:
                        yield Text(
                            rule=rule,
                            step=step,
                            variant=variant,
                            channel=channel,
                            language=language,
                        )


TEXTS = tuple(wanted())
MAILS = tuple(text for text in TEXTS if text.channel == "email")
SHORT = tuple(text for text in TEXTS if text.channel == "sms")
TASKS = tuple(text for text in TEXTS if text.channel == "task")

every_text = pytest.mark.parametrize("text", TEXTS, ids=str)
every_mail = pytest.mark.parametrize("text", MAILS, ids=str)
every_short_message = pytest.mark.parametrize("text", SHORT, ids=str)
every_task = pytest.mark.parametrize("text", TASKS, ids=str)
whoever = pytest.mark.parametrize("known", [True, False], ids=["known", "hardly-known"])


# -- two customers --------------------------------------------------------------------------------

WORDS: Mapping[str, tuple[str, str]] = {  # in Chinese and in English
    "name": ("林晓雨", "Anna Weaver"),
    "first_name": ("晓雨", "Anna"),
    "state_label": ("成交客户", "Deal"),
    "product": ("手冲咖啡壶", "pour-over set"),
    "topic": ("批量定制", "a bulk order"),
    "industry": ("餐饮", "hospitality"),
    "region": ("华东", "South West"),
    "tier": ("gold", "gold"),
    "email": ("10086@163.cn", "anna@example.com"),
    "phone": ("400-800-1234", "+44 20 7946 0123"),
    "website": ("https://example.com", "https://example.com"),
    "address": ("杭州市文三路 88 号", "12 Orchard Lane, Bath"),
    "company": ("青禾生活", "Fernhill"),
    "owner": ("周敏", "Ruth Carter"),
    "order_id": ("20260217-07", "20260217-07"),
    "currency": ("CNY", "GBP"),
    "timezone": ("Asia/Shanghai", "Europe/London"),
}
BY_TYPE: Mapping[ValueType, object] = {
    ValueType.TEXT: "86",  # of what no text speaks
    ValueType.INT: 2,
    ValueType.NUMBER: Decimal(2),
    ValueType.MONEY: Decimal("329.50"),
    ValueType.BOOL: True,
    ValueType.DATE: date(1990, 2, 17),
    ValueType.TIMESTAMP: NOW,
}
BY_KIND: Mapping[FactKind, object] = {
    FactKind.COUNT: 4,
    FactKind.SUM: Decimal("6480.50"),
    FactKind.FIRST: NOW - timedelta(days=365),
    FactKind.LAST: NOW - timedelta(days=45),
    FactKind.DISTINCT: 3,
    FactKind.GAP: timedelta(days=30),
}


class Customer:
    """Everything that a text may see."""

    def __init__(self, text: Text, *, known: bool) -> None:
        self._text, self._known = text, known
        self._at = LANGUAGES.index(text.language)

    def context(self) -> dict[str, Any]:
        holds = supplied(POLICY, self._text.rule)
        made = {name: self._record(name, each) for name, each in holds.items() if name != "now"}
        return {name: fields for name, fields in made.items() if fields is not None} | {"now": NOW}

    def _record(self, name: str, record: Supplied) -> dict[str, Any] | None:
        if not (record.sure or self._known):
            return None
        return {
            field: self._value(name, field)
            for field, each in record.fields.items()
            if each.sure or self._known
        }

    def _value(self, record: str, field: str) -> Any:
        given = getattr(self, f"_{record}", {}).get(field)
        if given is not None:
            return given
        if (record, field) == ("cause", "event"):
            return self._event()
        if record == "facts":
            return self._fact(field)
        return self._typed(field, POLICY.attributes.get(field))

    def _typed(self, name: str, kind: ValueType | None) -> Any:
        return WORDS[name][self._at] if name in WORDS else BY_TYPE[kind or ValueType.TEXT]

    def _event(self) -> dict[str, Any]:
        held = supplied(POLICY, self._text.rule)["cause"].fields["event"]
        types = {n: kind for e in POLICY.events.values() for n, kind in e.properties.items()}
        return {
            name: self._typed(name, types[name].type)
            for name, each in held.fields.items()
            if each.sure or self._known
        }

    def _fact(self, name: str) -> Any:
        fact = next(fact for fact in POLICY.facts if fact.name == name)
        if not self._known:
            return Decimal(0) if fact.kind is FactKind.SUM else 0
        if fact.property_type is ValueType.TEXT:
            return WORDS["product"][self._at]
        return BY_KIND.get(fact.kind, Decimal(2))

    @property
    def _cause(self) -> dict[str, Any]:
        return {"at": NOW - timedelta(hours=2), "name": "anything", "kind": "event"}

    @property
    def _customer(self) -> dict[str, Any]:
        return {"key": "1042", "tags": [], "state": "deal", "language": self._text.language}

    @property
    def _message(self) -> dict[str, Any]:
        text = self._text
        return {"rule": text.rule.name, "step": text.step, "variant": text.variant}

    @property
    def _links(self) -> dict[str, Any]:
        return {"unsubscribe": UNSUBSCRIBE, "preferences": PREFERENCES, "survey": SURVEY}

    @property
    def _company(self) -> dict[str, Any]:
        return {"name": WORDS["company"][self._at]}

    @property
    def _owner(self) -> dict[str, Any]:
        return {"name": WORDS["owner"][self._at]}


# -- reading them ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue(templates_dir())


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with Renderer(children=1) as renderer:
        yield renderer


@dataclass(frozen=True, slots=True)
class Desk:
    """Where letters are written."""

    catalogue: Catalogue
    renderer: Renderer

    def found(self, text: Text) -> Template:
        template = self.catalogue.find(
            text.rule.name, text.step, text.variant, text.channel, [text.language]
        )
        assert template is not None, "no text"
        return template

    def written(self, text: Text, *, known: bool = True) -> Rendered:
        letter = self.renderer.render(
            self.found(text),
            Customer(text, known=known).context(),
            language=text.language,
            zone=WORDS["timezone"][LANGUAGES.index(text.language)],
            currency=POLICY.currency,
        )
        assert isinstance(letter, Rendered), str(letter)
        return letter


@pytest.fixture(scope="module")
def desk(catalogue: Catalogue, renderer: Renderer) -> Desk:
    return Desk(catalogue, renderer)


def told(letter: Rendered) -> str:
    """All its words, without addresses of whatever kind."""
    words = "\n".join([letter.subject or "", letter.preheader or "", letter.text])
    return re.sub(r"(https?://|mailto:)\S+|\S+@\S+", "", words)


# -- the rules ------------------------------------------------------------------------------------


def test_nothing_is_wrong_with_any_file_not_even_a_little(desk: Desk) -> None:
    assert check(desk.catalogue, POLICY, desk.renderer).findings == ()
    assert desk.catalogue.all()


def test_no_text_belongs_to_a_rule_that_is_not_there(catalogue: Catalogue) -> None:
    rules = {rule.name: rule for rule in POLICY.outreach}
    for template in catalogue.all():
        rule = rules[template.message]
        assert template.channel in rule.channels
        assert template.variant is None or template.variant in rule.variants
        assert template.step is None or template.step <= len(rule.delays)


@every_text
def test_every_rule_speaks_chinese_and_english_on_each_of_its_channels(
    text: Text, desk: Desk
) -> None:
    found = desk.found(text)
    assert found.language == text.language
    assert found.variant == text.variant
    assert found.step == (text.step if len(text.rule.delays) > 1 else None)


@whoever
@every_text
def test_each_text_is_written_to_whomever_we_know_well_or_hardly(
    text: Text, desk: Desk, *, known: bool
) -> None:
    letter = desk.written(text, known=known)
    assert letter.language == text.language
    assert letter.text
    assert (letter.html is not None) is (text.channel == "email")
    assert (letter.subject is not None) is (text.channel in {"email", "task"})
    assert "  " not in letter.text.replace("\n  ", "")


@whoever
@every_text
def test_chinese_has_no_english_words_and_english_no_chinese_characters(
    text: Text, desk: Desk, *, known: bool
) -> None:
    words = told(desk.written(text, known=known))
    if text.language == "en":
        assert re.findall("[\u2e80-\u9fff\uff00-\uffef\u3000-\u303f]", words) == []
        return
    without_codes = re.sub(r"[A-Z]+\d+|拒收请回复R", "", words)
    assert re.findall("[A-Za-z]+", without_codes) == []


@whoever
@every_mail
def test_marketing_can_be_stopped_and_says_who_writes(
    text: Text, desk: Desk, *, known: bool
) -> None:
    letter = desk.written(text, known=known)
    assert letter.html
    for part in (letter.html, letter.text):
        assert (UNSUBSCRIBE in part) is text.marketing
        assert (PREFERENCES in part) is (text.marketing or text.rule.name in SURVEYS)
        if known:
            assert WORDS["address"][LANGUAGES.index(text.language)] in part


@every_mail
def test_service_says_why_she_gets_it(text: Text, desk: Desk) -> None:
    if not text.marketing:
        why = {"zh": "您收到这封邮件，是因为", "en": "You get this mail because"}
        assert why[text.language] in desk.written(text).text


@every_mail
def test_a_survey_leads_to_its_page_and_nothing_else_does(text: Text, desk: Desk) -> None:
    html = desk.written(text).html or ""
    assert (SURVEY in html) is (text.rule.name in SURVEYS)


@every_mail
def test_a_mail_is_whole_readable_and_fetches_nothing(text: Text, desk: Desk) -> None:
    letter = desk.written(text)
    html = letter.html or ""
    assert len(html.encode()) < CLIPPED_AT
    assert f'lang="{"zh-CN" if text.language == "zh" else "en"}"' in html
    assert letter.preheader
    assert letter.preheader in html
    assert re.findall(r"<img|<link|\bsrc=|url\(|@import", html) == []
    assert "prefers-color-scheme: dark" in html
    sizes = {int(size) for size in re.findall(r"font-size: ?(\d+)px", html)}
    assert {size for size in sizes - {0, 1} if size < 15} == set()  # 0 and 1: not for reading


@every_mail
def test_a_mail_asks_for_one_thing(text: Text, desk: Desk) -> None:
    html = desk.written(text).html or ""
    assert html.count('class="button"') == 1


@whoever
@every_short_message
def test_a_short_message_is_short_signed_and_can_be_stopped(
    text: Text, desk: Desk, *, known: bool
) -> None:
    words = desk.written(text, known=known).text
    company = WORDS["company"][LANGUAGES.index(text.language)]
    stop = {"zh": "拒收请回复R", "en": "Reply STOP to opt out"}[text.language]
    assert words.startswith(f"【{company}】" if text.language == "zh" else f"{company}: ")
    assert words.endswith(stop) is text.marketing
    assert "\n" not in words
    assert segments_of(words).count <= 3


@every_task
def test_a_task_says_who_why_what_and_by_when(text: Text, desk: Desk) -> None:
    task = desk.written(text)
    who = WORDS["name"][LANGUAGES.index(text.language)]
    phone = WORDS["phone"][LANGUAGES.index(text.language)]
    assert who in (task.subject or "")
    assert phone in task.text
    assert {"zh": "【请做】", "en": "PLEASE DO"}[text.language] in task.text
    when = {"zh": "天|月内|周内|工作日", "en": "today|day|week|month"}[text.language]
    assert re.search(when, task.text)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("rule", ["promotion-intent", "win-back-first"])
def test_a_voucher_has_the_same_code_in_the_mail_and_in_the_short_message(
    rule: str, language: str, desk: Desk
) -> None:
    texts = [t for t in TEXTS if (t.rule.name, t.language) == (rule, language)]
    codes = {str(t): set(re.findall(r"[A-Z]{4,}\d+", desk.written(t).text)) for t in texts}
    with_code = [codes[str(t)] for t in texts if t.variant == "coupon"]
    assert len(with_code[0]) == 1
    assert with_code == [with_code[0]] * len(with_code)
    assert not any(codes[str(t)] for t in texts if t.variant != "coupon")
