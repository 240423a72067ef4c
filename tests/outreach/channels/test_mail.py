"""An e-mail has exactly the planned headers and one recipient, whatever stands in a letter."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email import policy
from email.header import decode_header, make_header
from email.headerregistry import Address
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from email.utils import getaddresses

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.outreach.channels import mail as builder
from lifecycle.outreach.channels.letterhead import Letterhead, Sender
from lifecycle.outreach.channels.mail import Mail, build
from lifecycle.outreach.channels.settings import Secret
from lifecycle.outreach.channels.signing import Signer
from lifecycle.outreach.letter import Letter, Links
from lifecycle.outreach.outcome import Fault, Refused
from tests.support.letters import a_letter

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEAD = Letterhead(
    senders={
        "care": Sender(
            address=Address("示例 关怀", "care", "mail.example.com"),
            reply_to=Address("", "help", "example.com"),
        ),
        "news": Sender(address=Address("News, daily", "news", "mail.example.com")),
    },
    unsubscribe_by_mail=Address("", "leave", "example.com"),
    feedback_id="example1",
)
MARKETING = [
    "Date", "Message-ID", "From", "Reply-To", "To", "Subject", "Auto-Submitted", "List-Unsubscribe",
    "List-Unsubscribe-Post", "List-Id", "Precedence", "Feedback-ID", "MIME-Version", "Content-Type",
]  # fmt: skip
LIST_HEADERS = {"List-Unsubscribe", "List-Unsubscribe-Post", "List-Id", "Precedence"}


def built(letter: Letter, head: Letterhead = HEAD) -> Mail:
    made = build(letter, head, at=NOON)
    assert isinstance(made, Mail), made
    return made


def read(made: Mail) -> EmailMessage:
    """By Python's own modern parser, as a mailbox would."""
    return BytesParser(policy=policy.default).parsebytes(made.content)


def shown(part: MIMEPart) -> str:
    """Its text, with the line breaks of this machine."""
    return str(part.get_content()).replace("\r\n", "\n")


def refused(letter: Letter) -> Refused:
    made = build(letter, HEAD, at=NOON)
    assert isinstance(made, Refused), made
    assert made.permanent
    assert made.detail.isprintable()
    return made


def test_marketing_says_who_writes_to_whom_and_how_to_leave() -> None:
    message = read(built(a_letter("11-22", name="李华", subject="我们想念您")))
    assert message.keys() == MARKETING
    assert message["Message-ID"] == "<11-22@mail.example.com>"
    assert message["Date"] == "Sun, 01 Mar 2026 12:00:00 +0000"
    assert message["From"] == "示例 关怀 <care@mail.example.com>"
    assert message["Reply-To"] == "help@example.com"
    assert message["To"] == "李华 <li@example.org>"
    assert message["Subject"] == "我们想念您"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Unsubscribe"] == (
        "<https://shop.example.com/u/v1.k1.abc>, <mailto:leave@example.com?subject=unsubscribe%2011-22>"
    )
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert message["List-Id"] == "<care.mail.example.com>"
    assert message["Precedence"] == "bulk"
    assert message["Feedback-ID"] == "win-back:en:marketing:example1"


def test_a_service_message_belongs_to_no_list() -> None:
    message = read(built(a_letter(marketing=False, links=None)))
    assert message.keys() == [name for name in MARKETING if name not in LIST_HEADERS]
    assert message["Feedback-ID"] == "win-back:en:service:example1"


def test_the_text_and_the_html_arrive_as_they_were_written() -> None:
    text, html = "Grüße,\n\n你好  \n.\n" + "word " * 300, "<p>你好</p>\n" * 500
    message = read(built(a_letter(text=text, html=html)))
    plain, rich = message.iter_parts()
    assert message.get_content_type() == "multipart/alternative"
    assert (plain.get_content_type(), rich.get_content_type()) == ("text/plain", "text/html")
    assert shown(plain) == f"{text}\n"
    assert shown(rich) == html


def test_without_html_the_text_stands_alone() -> None:
    message = read(built(a_letter(text="one\r\ntwo\rthree", html=None)))
    assert message.get_content_type() == "text/plain"
    assert shown(message) == "one\ntwo\nthree\n"


def test_every_line_is_short_ascii() -> None:
    made = built(a_letter(text="你好 " * 999 + "x" * 5000, html="y" * 9999, subject="长" * 200))
    assert made.content.isascii()
    assert max(map(len, made.content.split(b"\r\n"))) <= 200


def test_the_same_letter_is_the_same_bytes_and_another_try_differs_in_its_date_alone() -> None:
    first, second = built(a_letter()), built(a_letter())
    assert first == second
    later = build(a_letter(), HEAD, at=NOON.replace(hour=13))
    assert isinstance(later, Mail)
    assert later.content == first.content.replace(b" 12:00:00 ", b" 13:00:00 ")


def test_a_template_may_name_its_sender() -> None:
    assert read(built(a_letter(sender="news")))["From"] == '"News, daily" <news@mail.example.com>'
    assert "Reply-To" not in read(built(a_letter(sender="news")))
    assert refused(a_letter(sender="sales")).code == "sender_unknown"


SUBJECTS = [
    ("a\r\nBcc: evil@x.example", "subject_line_break"),
    ("a\nBcc: evil@x.example", "subject_line_break"),
    ("a\rBcc: evil@x.example", "subject_line_break"),
    ("a\n\nbody", "subject_line_break"),
    ("trailing\n", "subject_line_break"),
    ("\nleading", "subject_line_break"),
    ("folded\r\n more", "subject_line_break"),
    ("a\u2028Bcc: evil@x.example", "subject_line_break"),
    ("a\u2029Bcc: evil@x.example", "subject_line_break"),
    ("a\x85Bcc: evil@x.example", "subject_line_break"),
    ("a\x0bBcc: evil@x.example", "subject_line_break"),
    ("a\x0cBcc: evil@x.example", "subject_line_break"),
    ("a\0b", "control_character_in_subject"),
    ("a\tb", "control_character_in_subject"),
    ("a\x1b[31mb", "control_character_in_subject"),
    ("a\x7fb", "control_character_in_subject"),
    ("a\x9bb", "control_character_in_subject"),
    ("a\ud800b", "control_character_in_subject"),
    ("a\udcffb", "control_character_in_subject"),
    ("a\u202egnp.exe", "control_character_in_subject"),
    ("a\u2067b", "control_character_in_subject"),
    ("A =?UTF-8?Q?=0A?=Bcc: x@y.z", "encoded_word_in_subject"),
    ("=?utf-8?b?DQpCY2M6IHhAeS56?=", "encoded_word_in_subject"),
    ("=?iso-2022-jp?q?=1B$B?=", "encoded_word_in_subject"),
    ("=?utf-8*en?Q?=0D=0A?=", "encoded_word_in_subject"),
    ("=?x?q?a?= =?x?q?b?=", "encoded_word_in_subject"),
    ("", "subject_empty"),
    ("   ", "subject_empty"),
    ("x" * 201, "subject_too_long"),
]  # fmt: skip
NAMES = [
    ("Bob\r\nBcc: evil@x.example", "name_line_break"),
    ("Bob\nSubject: other", "name_line_break"),
    ("Bob\r\n\r\nbody", "name_line_break"),
    ("Bob\u2028", "name_line_break"),
    ("Bob\0", "control_character_in_name"),
    ("Bob\x08\x08\x08Eve", "control_character_in_name"),
    ("Bob\u202eeve", "control_character_in_name"),
    ("Bob\ud83d", "control_character_in_name"),
    ("=?utf-8?q?=0ABcc:_x=40y.z?=", "encoded_word_in_name"),
    ("Bob <evil@x.example>", "address_in_name"),
    ("Bob, evil@x.y <a@b.c>", "address_in_name"),
    ('" <evil@x.example>, "', "address_in_name"),
    ("<", "address_in_name"),
    ("x" * 201, "name_too_long"),
]  # fmt: skip
ADDRESSES = [
    ("", "address_malformed"),
    ("li", "address_malformed"),
    ("@example.org", "address_malformed"),
    ("li@", "address_malformed"),
    ("li@localhost", "address_malformed"),
    ("li@example..org", "address_malformed"),
    ("li@-example.org", "address_malformed"),
    ("li@example.org.", "address_malformed"),
    ("li@127.0.0.1", "address_malformed"),
    ("li@[127.0.0.1]", "address_malformed"),
    ("li@exa mple.org", "address_malformed"),
    (".li@example.org", "address_malformed"),
    ("l..i@example.org", "address_malformed"),
    ("li @example.org", "address_malformed"),
    (" li@example.org", "address_malformed"),
    ("li@example.org ", "address_malformed"),
    ("li@example.org,evil@x.example", "address_malformed"),
    ("li@example.org;evil@x.example", "address_malformed"),
    ("evil@x.example li@example.org", "address_malformed"),
    ("Bob <li@example.org>", "address_malformed"),
    ("<li@example.org>", "address_malformed"),
    ("a@b@example.org", "address_malformed"),
    ('"a@b"@example.org', "address_malformed"),
    ('"a\\"b"@example.org', "address_malformed"),
    ("(comment)li@example.org", "address_malformed"),
    ("li@example.org>BODY=8BITMIME", "address_malformed"),
    ("li@℀.org", "address_malformed"),
    ("li@" + "a" * 64 + ".org", "address_malformed"),
    ("l" * 65 + "@example.org", "address_malformed"),
    ("李" * 22 + "@example.org", "address_malformed"),
    ("li@example.org\r\nRCPT TO:<evil@x.example>", "address_line_break"),
    ("li@example.org\n", "address_line_break"),
    ("li\u2028@example.org", "address_line_break"),
    ("li\0@example.org", "control_character_in_address"),
    ("l\u202ei@example.org", "control_character_in_address"),
    ("=?utf-8?q?li?=@example.org", "encoded_word_in_address"),
    ("l@" + "example." * 40 + "org", "address_too_long"),
]  # fmt: skip


@pytest.mark.parametrize(("subject", "code"), SUBJECTS)
def test_a_hostile_subject_is_refused_by_name(subject: str, code: str) -> None:
    outcome = refused(a_letter(subject=subject))
    assert (outcome.code, outcome.fault) == (code, Fault.MESSAGE)


@pytest.mark.parametrize(("name", "code"), NAMES)
def test_a_hostile_name_is_refused_by_name(name: str, code: str) -> None:
    outcome = refused(a_letter(name=name))
    assert (outcome.code, outcome.fault) == (code, Fault.RECIPIENT)
    assert "evil" not in outcome.detail


@pytest.mark.parametrize(("address", "code"), ADDRESSES)
def test_a_hostile_address_is_refused_by_name(address: str, code: str) -> None:
    outcome = refused(a_letter(to=address))
    assert (outcome.code, outcome.fault) == (code, Fault.RECIPIENT)
    assert "example" not in outcome.detail


HARMLESS = [
    ('Li "the cat" Hua', 'Li "the cat" Hua'),
    ("O'Brien, Pat (sales) \\ Co.", "O'Brien, Pat (sales) \\ Co."),
    ("evil@x.example, Bob", "evil@x.example, Bob"),
    ("Bob;:@[]", "Bob;:@[]"),
    ("=?utf-8?q?no end", "=?utf-8?q?no end"),
    ("  Bob  ", "Bob"),
    ("👩‍👩‍👧 " * 20, ("👩‍👩‍👧 " * 20).strip()),
    ("Ａｎｎａ 　 ñandú", "Ａｎｎａ 　 ñandú"),
    ("", ""),
]


@pytest.mark.parametrize(("name", "shown"), HARMLESS)
def test_a_strange_name_is_shown_as_it_is_and_stays_one_recipient(name: str, shown: str) -> None:
    """Python's modern parser has a blank between encoded words in a name, so another one reads it."""
    made = built(a_letter(name=name))
    assert [one.addr_spec for one in read(made)["To"].addresses] == ["li@example.org"]
    ((phrase, address),) = getaddresses([_raw(made, "To")])
    assert (str(make_header(decode_header(phrase))), address) == (shown, "li@example.org")


@pytest.mark.parametrize(
    "address", ["o'brien+x=y@sub.example.org", "LI@Example.ORG", "a.b-c_d@x.co"]
)
def test_an_ordinary_address_is_left_as_it_is_but_for_the_case_of_its_domain(address: str) -> None:
    username, _, domain = address.partition("@")
    (one,) = read(built(a_letter(to=address)))["To"].addresses
    assert one.addr_spec == f"{username}@{domain.lower()}"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"text": "a\0b"}, "control_character_in_plain"),
        ({"html": "<p>\ud800</p>"}, "control_character_in_html"),
        ({"text": "x" * 2_200_000}, "letter_too_large"),
        ({"links": None}, "no_unsubscribe_link"),
        ({"key": "a>\r\nBcc: evil@x.example"}, "key_malformed"),
        ({"key": "../../etc/passwd"}, "key_malformed"),
    ],
)
def test_what_no_e_mail_may_hold_is_refused(changed: dict[str, str], code: str) -> None:
    assert refused(a_letter(**changed)).code == code


@pytest.mark.parametrize(
    "link",
    ["https://x.example/>,<mailto:evil@x.example", "https://x.example/\r\nBcc: e@x.example",
     "javascript:alert(1)", "https://x.example/ a", "https://x.example/é", "https://x/" + "a" * 901],
)  # fmt: skip
def test_a_link_that_would_not_stay_in_its_brackets_is_refused(link: str) -> None:
    links = Links(unsubscribe=link, preferences="", survey="")
    assert refused(a_letter(links=links)).code == "no_unsubscribe_link"


ANY = st.text(max_size=300)
# parts that have broken builders of e-mail before, thrown together
BITS = st.lists(
    st.sampled_from(
        ["\r", "\n", "\r\n", "\r\n ", "\0", "\t", " ", "\u2028", "=?", "?=", "utf-8", "?q?", "?b?",
         "=0A", "=0D=0A", "Bcc: e@x.y", "@", "<", ">", ",", ";", ":", '"', "\\", "(", ")", "李",
         "é", "e\u0301", "👩‍👧", "\u202e", "\ud800", "a", "x" * 70, ".", "%0a", "--", "=_11-22-33"]
    ),
    max_size=14,
).map("".join)  # fmt: skip
HOSTILE = st.one_of(ANY, BITS)
ORDINARY = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs")), max_size=200
)


@given(
    subject=st.one_of(HOSTILE, ORDINARY),
    name=st.one_of(HOSTILE, ORDINARY),
    to=st.one_of(st.just("li@example.org"), HOSTILE, HOSTILE.map(lambda x: f"{x}@example.org")),
    text=HOSTILE,
    html=st.one_of(st.none(), HOSTILE),
    rule=HOSTILE,
    language=HOSTILE,
)
def test_whatever_is_in_a_letter_it_has_exactly_the_planned_headers_or_is_refused(
    subject: str, name: str, to: str, text: str, html: str | None, rule: str, language: str
) -> None:
    letter = a_letter(
        subject=subject, name=name, to=to, text=text, html=html, rule=rule, language=language
    )
    made = build(letter, HEAD, at=NOON)
    if isinstance(made, Refused):
        assert made.code != "mail_not_as_planned", "our own judgement let something through"
        return
    message = BytesParser().parsebytes(made.content)
    alone = ["Content-Transfer-Encoding"] if html is None else []
    assert message.keys() == MARKETING + alone
    assert not message.defects
    modern = read(made)
    octets = [one.addr_spec.encode("utf-8", "surrogateescape") for one in modern["To"].addresses]
    assert octets == [made.recipient.addr_spec.encode()]
    assert (len(list(modern.walk())), modern["Bcc"]) == (1 if html is None else 3, None)
    assert "Bcc" not in "".join(f"\n{key}" for part in message.walk() for key in part)


@given(subject=ORDINARY.filter(lambda text: "=?" not in text and text.strip(" ")))
def test_an_ordinary_subject_is_read_as_it_was_written(subject: str) -> None:
    assert builder._decoded(_raw(built(a_letter(subject=subject)), "Subject")) == subject.strip(" ")


def _raw(made: Mail, name: str) -> str:
    value = BytesParser().parsebytes(made.content)[name]
    return str(value).replace("\r\n", "").replace("\n", "")


BREAKS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("a header is added", lambda mail: mail.replace(b"\r\nTo: ", b"\r\nBcc: e@x.example\r\nTo: ")),
    ("a header is missing", lambda mail: mail.replace(b"Precedence: bulk\r\n", b"")),
    ("one stands twice", lambda mail: mail.replace(b"Precedence: bulk\r\n", b"Precedence: bulk\r\n" * 2)),
    ("a second recipient", lambda mail: mail.replace(b"li@example.org", b"li@example.org, e@x.example")),
    ("another recipient", lambda mail: mail.replace(b"li@example.org", b"e@x.example")),
    ("another subject", lambda mail: mail.replace(b"We miss you\r\n", b"You have won\r\n", 1)),
    ("a bare line feed", lambda mail: mail.replace(b"bulk\r\n", b"bulk\n")),
    ("a NUL", lambda mail: mail.replace(b"<p>", b"<p>\0")),
    ("the body begins early", lambda mail: mail.replace(b"Precedence", b"\r\nPrecedence")),
    ("a line that is too long", lambda mail: mail.replace(b"<p>", b"<p>" + b"x" * 999)),
    ("another body", lambda mail: mail.replace(b"we miss you", b"pay us now!")),
]  # fmt: skip


@pytest.mark.parametrize(("what", "change"), BREAKS)
def test_an_e_mail_that_is_not_as_planned_does_not_go(
    what: str, change: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if our own writing had a hole: what is read back is compared, whatever the cause."""
    serialise = builder._serialised
    assert change(serialise_once()) != serialise_once(), what
    monkeypatch.setattr(builder, "_serialised", lambda plan: change(serialise(plan)))
    assert refused(a_letter()).code == "mail_not_as_planned"


def serialise_once() -> bytes:
    return built(a_letter()).content


@pytest.fixture(scope="session")
def signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def signer(key: rsa.RSAPrivateKey) -> Signer:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    secret = Secret(text=pem.decode(), source="a test")
    return Signer(domain="example.com", selector="s1", key=secret)


def verifies(content: bytes, key: rsa.RSAPrivateKey) -> bool:
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)

    def published(name: bytes, timeout: int = 5) -> bytes:
        assert name == b"s1._domainkey.example.com."
        return record

    return bool(dkim.verify(content, dnsfunc=published))


def test_a_signature_covers_the_way_out_and_every_header_that_readers_act_on(
    signing_key: rsa.RSAPrivateKey,
) -> None:
    made = build(a_letter(name="李华"), HEAD, at=NOON, sign=signer(signing_key))
    assert isinstance(made, Mail)
    assert BytesParser().parsebytes(made.content).keys() == ["DKIM-Signature", *MARKETING]
    assert verifies(made.content, signing_key)
    signature = _raw(made, "DKIM-Signature")
    listed = re.search(r"h=([^;]*);", signature)
    assert listed is not None
    names = re.sub(r"\s", "", listed[1]).split(":")
    assert {"from", "to", "subject", "list-unsubscribe", "list-unsubscribe-post"} <= set(names)
    for old, new in [
        (b"/u/v1.k1.abc", b"/u/v1.k1.abd"),
        (b"List-Unsubscribe=One-Click", b"List-Unsubscribe=Two-Click"),
        (b"To: ", b"From: e@x.example\r\nTo: "),
        (b"Subject: ", b"List-Unsubscribe: <https://x.example>\r\nSubject: "),
        (b"we miss you", b"we miss YOU"),
    ]:
        assert made.content.count(old) >= 1
        assert not verifies(made.content.replace(old, new), signing_key), old


def test_a_signer_says_why_it_cannot_sign_without_the_key(signing_key: rsa.RSAPrivateKey) -> None:
    assert signer(signing_key).trouble() is None
    wrong = Signer(domain="a.example", selector="s", key=Secret(text="no key", source="the file k"))
    assert wrong.trouble() == "the file k holds no RSA key in PEM, as openssl genrsa writes it"
    assert "no key" not in repr(wrong)
