"""Which links of a letter lead through us, and that measuring makes no letter too large."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lifecycle.engine.sending.desk import Desk, Templates
from lifecycle.outreach.channels.measuring import Measure
from lifecycle.outreach.letter import Rendered
from lifecycle.outreach.measured import measured
from lifecycle.outreach.secret import Secret
from lifecycle.outreach.templates.catalogue import Catalogue
from lifecycle.outreach.templates.mail import CLIPPED_AT
from lifecycle.outreach.templates.renderer import Renderer
from lifecycle.outreach.tokens import followed_in, letter_key, looked_in
from tests.support.letters import CONTENT, channels_of

SECRET = Secret(b"s" * 32)
KEY = letter_key(SECRET, 7)
US = "https://Care.example.com/shop"
BOTH = Measure(opens=True, clicks=True, consent="measurement")


def of(html: str, measure: Measure = BOTH) -> str:
    return measured(html, measure, US, SECRET, letter=KEY, channel="email")


@pytest.mark.parametrize(
    "href",
    [
        f"{US}/u/v1.a.b.c",
        f"{US}/u/v1.a.b.c/preferences",
        f"{US}/u",
        f"{US}/u?x",
        f"{US}/s/v1.a.b.c",
        f"{US}/c/v1.a.b.c",
        f"{US}/r/v1.a.b.c",
        f"{US}/o/v1.a.b.c",
        "https://care.EXAMPLE.com/shop/u/v1.a.b.c",
        "https://shop.example/" + "x" * 1500,
        "mailto:a@b.example?subject=https://shop.example/",
        "tel:+8621",
        "#top",
    ],
)
def test_what_must_stay_direct_stays(href: str) -> None:
    html = f'<a href="{href}">x</a>'
    assert of(html, replace(BOTH, opens=False)) == html


@pytest.mark.parametrize("href", [f"{US}/users", f"{US}/", "https://care.example.com/u/x"])
def test_other_pages_of_the_same_host_are_measured(href: str) -> None:
    assert f"{US}/r/v1." in of(f'<a href="{href}">x</a>')


def test_what_is_signed_says_which_letter_it_was_and_what_she_had_to_agree_to() -> None:
    html = of('<body><a href="https://a.example/?x&amp;y">x</a></body>')
    _, follow, look, *_ = html.split(f"{US}/")
    followed = followed_in(SECRET, follow.removeprefix("r/").partition('"')[0])
    assert followed is not None
    assert (followed.number, followed.target) == (1, "https://a.example/?x&y")
    assert (followed.letter, followed.channel) == (KEY, "email")
    assert followed.consent == "measurement"
    looked = looked_in(SECRET, look.removeprefix("o/").partition('"')[0])
    assert looked is not None
    assert (looked.letter, looked.channel, looked.consent) == (KEY, "email", "measurement")


def test_the_same_letter_is_the_same_on_every_try_and_another_is_not() -> None:
    html = '<a href="https://a.example/">x</a>'
    other = measured(html, BOTH, US, SECRET, letter=letter_key(SECRET, 8), channel="email")
    assert of(html) == of(html) != other


# -- at the desk


def desk(folder: Path, *, secret: Secret | None = SECRET, public_url: str | None = US) -> Desk:
    text = "channels:\n  email: {kind: file, folder: x, measure: {opens: true, clicks: true, consent: measurement}}\n"
    return Desk(
        texts=Templates(Catalogue(folder), Renderer(children=1)),
        channels=channels_of(folder, f"{text}  other: {{kind: outbox}}\n"),
        secret=secret,
        public_url=public_url,
    )


def leaving(
    folder: Path,
    html: str | None,
    *,
    channel: str = "email",
    agreed: bool = True,
    secret: Secret | None = SECRET,
    public_url: str | None = US,
) -> Rendered:
    office = desk(folder, secret=secret, public_url=public_url)
    try:
        return office.measured(
            replace(CONTENT, html=html),
            letter=KEY,
            channel=channel,
            consents={"measurement/email": agreed, "measurement/other": agreed},
        )
    finally:
        office.close()


LINK = '<a href="https://a.example/">x</a>'


def test_a_letter_leaves_measured_where_all_is_there_for_it(tmp_path: Path) -> None:
    written = replace(CONTENT, html=LINK)
    measured_one = leaving(tmp_path, LINK)
    assert measured_one.html == of(LINK)
    assert replace(measured_one, html=LINK) == written, "nothing else of it is touched"
    assert leaving(tmp_path, LINK, agreed=False) == written
    assert leaving(tmp_path, LINK, channel="other") == written
    assert leaving(tmp_path, LINK, secret=None) == written
    assert leaving(tmp_path, LINK, public_url=None) == written
    assert leaving(tmp_path, None) == replace(CONTENT, html=None)


def test_measuring_makes_no_letter_too_large(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    room = CLIPPED_AT - len(of(LINK).encode())
    fits, clipped = LINK + "é" * (room // 2), LINK + "é" * (room // 2 + 1)
    assert len(of(fits).encode()) <= CLIPPED_AT < len(of(clipped).encode())
    assert leaving(tmp_path, fits).html == of(fits)
    assert "too large for Gmail" not in caplog.text
    assert leaving(tmp_path, clipped).html == clipped
    assert "too large for Gmail" in caplog.text


def test_what_was_too_large_before_is_measured_all_the_same(tmp_path: Path) -> None:
    html = LINK + "x" * CLIPPED_AT
    assert leaving(tmp_path, html).html == of(html)
