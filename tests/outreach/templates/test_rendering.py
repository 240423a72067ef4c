"""A template is filled in for one customer: nothing missing, nothing more, and only from plain data."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lifecycle.errors import Unusable
from lifecycle.outreach.letter import Rendered
from lifecycle.outreach.templates import renderer as renderers
from lifecycle.outreach.templates.catalogue import Catalogue
from lifecycle.outreach.templates.part import TemplateFailed
from lifecycle.outreach.templates.renderer import Renderer
from lifecycle.store.tables import Customer

AT = datetime(2026, 9, 25, 17, 30, tzinfo=UTC)  # in Shanghai it is the 26th already
LAYOUT = """<mjml><mj-head><mj-title>{{ subject }}</mj-title><mj-preview>{{ preheader }}</mj-preview>
</mj-head><mj-body>{{ body }}{% include "foot" %}</mj-body></mjml>"""
FOOT = """<mj-section><mj-column><mj-text>{{ company.name }}
<a href="{{ links.unsubscribe }}">Unsubscribe</a></mj-text></mj-column></mj-section>"""

Fill = Callable[..., Rendered | TemplateFailed]


class Tier(StrEnum):
    GOLD = "gold"


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    with Renderer(children=1) as made:
        yield made


@pytest.fixture
def fill(tmp_path: Path, renderer: Renderer) -> Fill:
    """Writes one template, and fills it in."""
    for folder in ("m", "_layouts", "_partials"):
        (tmp_path / folder).mkdir()
    (tmp_path / "_layouts" / "brand.mjml").write_text(LAYOUT)
    (tmp_path / "_partials" / "foot.mjml").write_text(FOOT)

    def filled(
        text: str, *, file: str = "sms.en.txt", hers: str = "en", **changed: Any
    ) -> Rendered | TemplateFailed:
        (tmp_path / "m" / file).write_text(text)
        channel, language, _ = file.split(".")
        catalogue = Catalogue(tmp_path)
        assert catalogue.broken() == []
        template = catalogue.find("m", None, None, channel, [language])
        assert template
        return renderer.render(
            template, _context(**changed), language=hers, zone="Asia/Shanghai", currency="CNY"
        )

    return filled


def _context(**changed: Any) -> dict[str, Any]:
    return {
        "customer": {"key": "c1", "name": "Anna Smith", "first_name": "Anna", "tags": ["x", "y"]},
        "facts": {"orders": 1, "revenue": Decimal("1234.50"), "gap": timedelta(days=3)},
        "cause": {"at": AT, "name": "order_paid"},
        "company": {"name": "Acme & Sons", "website": "https://acme.example/"},
        "links": {"unsubscribe": "https://care.example/u?a=1&b=2"},
        "now": AT,
        **changed,
    }


def _text(made: Rendered | TemplateFailed) -> str:
    assert isinstance(made, Rendered), made
    return made.text


@pytest.mark.parametrize(
    ("expression", "english", "chinese"),
    [
        ("facts.revenue | money", "CN¥1,234.50", "¥1,234.50"),
        ("facts.revenue | money('USD')", "$1,234.50", "US$1,234.50"),
        ("facts.revenue | number", "1,234.5", "1,234.5"),
        ("0.153 | percent(1)", "15.3%", "15.3%"),
        ("(facts.revenue * 0.1) | round(2)", "123.45", "123.45"),
        ("cause.at | date", "Sep 26, 2026", "2026年9月26日"),
        ("cause.at | date('long')", "September 26, 2026", "2026年9月26日"),
        ("cause.at | weekday", "Saturday", "星期六"),
        ("cause.at | lunar_date", "16th day of the 8th lunar month", "八月十六"),
        ("customer.tags | list_and", "x and y", "x和y"),
        ("customer | name('dear')", "Dear Anna", "亲爱的Anna Smith"),
        ("facts.orders | plural('order', 'orders')", "1 order", "1orders"),
        ("2 | plural('order', 'orders')", "2 orders", "2orders"),
        ("customer.name | truncate(5)", "Anna…", "Anna…"),
        ("facts.gone | default('none yet')", "none yet", "none yet"),
    ],
)
def test_values_are_written_as_the_language_writes_them(
    fill: Fill, expression: str, english: str, chinese: str
) -> None:
    assert _text(fill(f"{{{{ {expression} }}}}")) == english
    assert _text(fill(f"{{{{ {expression} }}}}", file="sms.zh.txt", hers="zh")) == chinese


def test_time_is_that_of_the_customers_zone(fill: Fill) -> None:
    assert _text(fill("{{ cause.at | datetime }}", hers="en-GB")) == "26 Sept 2026 01:30"


def test_her_own_kind_of_the_language_decides_and_no_other_language(fill: Fill) -> None:
    assert _text(fill("{{ cause.at | date }}", hers="en-GB")) == "26 Sept 2026"
    assert _text(fill("{{ cause.at | date }}", hers="zh-TW")) == "Sep 26, 2026"


def test_whoever_has_no_name_is_addressed_all_the_same(fill: Fill) -> None:
    nameless = {"key": "c1"}
    assert _text(fill("{{ customer | name('hi') }}", customer=nameless)) == "Hi there"
    made = fill("{{ customer | name('hi') }}", file="sms.zh.txt", hers="zh", customer=nameless)
    assert _text(made) == "您好"


def test_a_missing_value_is_an_error_with_its_place_and_never_blank(fill: Fill) -> None:
    made = fill("Hello\n{{ facts.last_order_at | date }}")
    assert isinstance(made, TemplateFailed)
    assert (made.code, made.where) == ("missing_variable", "m/sms.en.txt:2")
    assert "facts.last_order_at" in made.detail


def test_the_place_of_an_error_in_a_partial_is_the_partials(fill: Fill, tmp_path: Path) -> None:
    (tmp_path / "_partials" / "foot.txt").write_text("\n\n{{ facts.gone }}")
    made = fill("Hello {% include 'foot' %}")
    assert isinstance(made, TemplateFailed)
    assert made.where == "_partials/foot.txt:3"


def test_a_mail_has_html_and_a_text_that_says_the_same(fill: Fill) -> None:
    made = fill(
        "---\nsubject: Hello {{ customer.first_name }}\npreheader: For you\nsender: news\n---\n"
        "<mj-section><mj-column><mj-text><h1>Thank you</h1><p>First\nline.</p>"
        "<ol><li>one</li><li>two</li></ul></ol></mj-text>"
        '<mj-image href="{{ company.website }}" src="https://x.example/a.png" alt="Our shop"/>'
        '<mj-button href="{{ company.website }}">Look</mj-button></mj-column></mj-section>'.replace(
            "</ul>", ""
        ),
        file="email.en.mjml",
    )
    assert isinstance(made, Rendered), made
    assert (made.subject, made.preheader, made.sender) == ("Hello Anna", "For you", "news")
    assert made.html
    assert made.html.count("Thank you") == 1
    assert made.text.split("\n") == [
        "Thank you", "", "First line.", "", "1. one", "2. two", "",
        "Our shop: https://acme.example/", "", "Look", "",
        "Acme & Sons Unsubscribe (https://care.example/u?a=1&b=2)",
    ]  # fmt: skip


def test_values_cannot_become_markup(fill: Fill) -> None:
    evil = "\"' onload=x><script>alert(1)</script><mj-raw>{{7*7}}{% include 'x' %}"
    made = fill(
        "---\nsubject: x\npreheader: '{{ customer.name }}'\n---\n<mj-section><mj-column>"
        "<mj-text>{{ customer.name }}</mj-text>"
        '<mj-image src="https://x.example/a.png" alt="{{ customer.name }}"/></mj-column></mj-section>',
        file="email.en.mjml",
        customer={"key": "c1", "name": evil},
    )
    assert isinstance(made, Rendered), made
    assert made.html
    assert "<script" not in made.html
    assert "<mj-raw" not in made.html
    assert "&lt;script&gt;" in made.html
    assert 'alt="&#34;&#39; onload=x&gt;' in made.html
    assert evil in made.text


def test_what_looks_like_a_template_in_a_value_stays_text(fill: Fill) -> None:
    made = fill("Hi {{ customer.name }}", customer={"key": "c", "name": "{{7*7}}{% if x %}"})
    assert _text(made) == "Hi {{7*7}}{% if x %}"


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "JaVa\tScript:alert(1)",
        " data:text/html,x",
        "vbscript:x",
        "file:///etc",
    ],
)
def test_a_value_cannot_make_a_link_run_anything(fill: Fill, link: str) -> None:
    made = fill(
        "---\nsubject: x\n---\n<mj-section><mj-column><mj-text>"
        '<a href="{{ customer.name }}">x</a></mj-text></mj-column></mj-section>',
        file="email.en.mjml",
        customer={"key": "c", "name": link},
    )
    assert isinstance(made, TemplateFailed)
    assert made.code == "unsafe_link"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("Anna\r\nBcc: evil@example.com", "subject_line_break"),
        ("Anna\nX: y", "subject_line_break"),
        ("Anna\u2028X", "subject_line_break"),
        ("Anna\x00", "subject_control_character"),
        ("Anna\x1b[31m", "subject_control_character"),
        ("=?UTF-8?Q?=0A?=", "encoded_word_in_subject"),
        ("=?utf-8?b?Cg==?=", "encoded_word_in_subject"),
        (" ", "subject_empty"),
        ("x" * 201, "subject_too_long"),
    ],
)
def test_a_subject_that_would_do_harm_is_refused_after_it_was_filled_in(
    fill: Fill, name: str, code: str
) -> None:
    made = fill(
        "---\ntitle: '{{ customer.name }}'\n---\nHello",
        file="task.en.txt",
        customer={"key": "c", "name": name},
    )
    assert isinstance(made, TemplateFailed)
    assert made.code == code
    assert "evil" not in made.detail


def test_what_is_no_mjml_is_told(fill: Fill) -> None:
    made = fill("---\nsubject: x\n---\n<mj-section><mj-text>", file="email.en.mjml")
    assert isinstance(made, TemplateFailed)
    assert made.code == "bad_mjml"


def test_mjml_reads_no_file(fill: Fill) -> None:
    made = fill('---\nsubject: x\n---\n<mj-include path="/etc/passwd"/>', file="email.en.mjml")
    assert isinstance(made, TemplateFailed)
    assert made.code == "bad_mjml"


def test_a_text_of_nothing_is_not_sent(fill: Fill) -> None:
    made = fill("{% if facts.orders > 5 %}Hello{% endif %}")
    assert isinstance(made, TemplateFailed)
    assert made.code == "empty_text"


def test_more_than_256_kib_are_not_written(fill: Fill) -> None:
    listed = ",".join(["1"] * 100)
    made = fill(
        f"{{% for i in [{listed}] %}}{{{{ customer.name }}}}{{% endfor %}}",
        customer={"key": "c", "name": "x" * 3_000},
    )
    assert isinstance(made, TemplateFailed)
    assert made.code == "template_limit"


@pytest.mark.parametrize(
    "value",
    [
        Customer.model_construct(key="anna", state="deal"),
        object(),
        {1, 2},
        1.5,
        b"x",
        Tier.GOLD,
        Decimal("NaN"),
        2**70,
        datetime(2026, 1, 1),  # noqa: DTZ001 - naive on purpose
        len,
        Customer,
        {"_x": 1},
        {1: 1},
        [[[[[[[[1]]]]]]]],
        Path("/"),
    ],
)
def test_what_is_not_plain_data_is_a_type_error_and_is_never_sent(
    fill: Fill, value: object
) -> None:
    with pytest.raises(TypeError, match=r"context\.customer"):
        fill("Hello", customer={"key": "c", "name": value})
    with pytest.raises(TypeError, match=r"context"):
        fill("Hello", customer=value if not isinstance(value, dict) else {"x": value})


def test_a_row_in_place_of_the_customer_is_a_type_error(fill: Fill) -> None:
    with pytest.raises(TypeError, match=r"context\.customer: .*Customer is no plain value"):
        fill("{{ customer.name }}", customer=Customer.model_construct(key="anna"))


def test_an_old_jinja_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderers, "version", lambda _: "3.1.5")
    with pytest.raises(Unusable, match=r"jinja2 3\.1\.5 .* install 3\.1\.6"):
        Renderer()


def test_threads_render_at_once_and_each_gets_its_own(fill: Fill, tmp_path: Path) -> None:
    assert _text(fill("Hi {{ customer.name }}"))
    template = Catalogue(tmp_path).find("m", None, None, "sms", ["en"])
    assert template
    with Renderer(children=2) as renderer, ThreadPoolExecutor(4) as pool:

        def one(number: int) -> str:
            context = _context(customer={"key": "c", "name": f"n{number}"})
            made = renderer.render(template, context, language="en", zone="UTC", currency="CNY")
            return _text(made)

        assert list(pool.map(one, range(40))) == [f"Hi n{number}" for number in range(40)]


def test_nothing_is_left_running_when_it_is_closed(fill: Fill, tmp_path: Path) -> None:
    assert _text(fill("x"))
    template = Catalogue(tmp_path).find("m", None, None, "sms", ["en"])
    assert template
    before = {each.pid for each in psutil.Process().children()}
    with Renderer(children=1) as renderer:
        renderer.render(template, {}, language="en", zone="UTC", currency="CNY")
        assert {each.pid for each in psutil.Process().children()} > before
    assert {each.pid for each in psutil.Process().children()} == before


def rendering() -> list[psutil.Process]:
    """The processes that fill in templates for us; those of other tests may just have ended."""
    found = []
    for each in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            found += [each] if "lifecycle.outreach.templates.child" in each.cmdline() else []
    return found


def test_a_process_that_dies_is_replaced(renderer: Renderer, fill: Fill) -> None:
    assert _text(fill("one")) == "one"
    (child,) = rendering()
    child.kill()
    psutil.wait_procs([child])
    assert _text(fill("two")) == "two"


def test_the_process_knows_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch, fill: Fill) -> None:
    assert _text(fill("one")) == "one"
    (child,) = rendering()
    assert set(child.environ()) <= {"PYTHONUTF8", "PYTHONPATH", "LC_CTYPE"}
    assert child.memory_info().rss < 100 * 1024 * 1024


def test_the_same_letter_has_the_same_hash_and_another_has_another(fill: Fill) -> None:
    first, again = fill("Hi {{ customer.name }}"), fill("Hi {{ customer.name }}")
    other = fill("Hi {{ customer.name }}", customer={"key": "c", "name": "Bea"})
    assert isinstance(first, Rendered)
    assert isinstance(again, Rendered)
    assert isinstance(other, Rendered)
    assert first.sha256 == again.sha256 != other.sha256
    assert first.template_hash == other.template_hash


_PLAIN = st.one_of(
    st.text(), st.integers(-(2**62), 2**62), st.booleans(), st.none(), st.dates(date(1, 1, 2))
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secret=st.text(st.characters(categories=["L"]), min_size=12), hidden=_PLAIN)
def test_nothing_is_shown_but_what_the_template_names(
    fill: Fill, secret: str, hidden: object
) -> None:
    """Whatever else is known of her stays out, whichever way the template tries to print it all."""
    customer = {"key": "c", "name": "Anna", "iban": secret, "notes": {"deep": [secret, hidden]}}
    shown = _text(fill("Hi {{ customer.name }}: {{ customer | name }}", customer=customer))
    assert shown == "Hi Anna: Anna"
    for text in ("{{ customer }}", "{{ customer.notes }}", "{{ customer.notes.deep }}"):
        made = fill(text, customer=customer)
        assert isinstance(made, TemplateFailed)
        assert secret not in str(made)
