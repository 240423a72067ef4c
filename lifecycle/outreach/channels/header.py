"""What may stand in a header, and how is it written so that every reader reads the same?

Python's own e-mail package lets encoded words smuggle line breaks, and depends on its patch level for
what else it stops. So text is judged here before it is written, and `mail` reads back what came of it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from email.headerregistry import Address

from lifecycle.outreach.outcome import Fault, Refused

MOST_SUBJECT = 200
MOST_NAME = 200
MOST_ADDRESS = 254  # octets, as RFC 5321 allows
MOST_USERNAME = 64
LINE = 76

_LINE_BREAK = re.compile("[\r\n\x0b\x0c\x85\u2028\u2029]")
# C0, DEL and C1; what turns the direction of text, to show another word than is there; and what is
# no character at all, so that nothing could be sent for it
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
_ENCODED_WORD = re.compile(r"=\?.*\?=")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+( [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_USERNAME = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_WORD_BYTES = 45  # of UTF-8 in one encoded word, which may have 75 characters in all


class Unfit(Exception):
    """This may not stand in an e-mail; `refused` is what its sender is told."""

    def __init__(self, code: str, detail: str, fault: Fault) -> None:
        super().__init__(detail)
        self.refused = Refused(code=code, detail=detail, fault=fault, permanent=True)


def subject(text: str) -> str:
    """The text without blanks around it; raises Unfit."""
    kept = _judged(text, "subject", MOST_SUBJECT, Fault.MESSAGE).strip(" ")
    if not kept:
        raise Unfit("subject_empty", "the subject is empty", Fault.MESSAGE)
    return kept


def mailbox(address: str, name: str | None = None) -> Address:
    """One address with perhaps a name before it, its domain in ASCII; raises Unfit.

    A username beyond ASCII stays: only servers that speak SMTPUTF8 take it. Quoted ones are refused.
    """
    plain = _judged(address, "address", MOST_ADDRESS, Fault.RECIPIENT)
    username, at, domain = plain.rpartition("@")
    if not (at and _USERNAME.fullmatch(username) and len(username.encode()) <= MOST_USERNAME):
        raise Unfit("address_malformed", "this is no e-mail address", Fault.RECIPIENT)
    return Address(display_name=_name(name), username=username, domain=ascii_domain(domain))


def ascii_domain(domain: str) -> str:
    """`例子.中国` as `xn--fsqu00a.xn--fiqs8s`, in lower case; raises Unfit."""
    try:
        plain = domain.lower() if domain.isascii() else domain.encode("idna").decode().lower()
    except UnicodeError:
        plain = ""
    labels = plain.split(".")
    if len(labels) < 2 or labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        raise Unfit("address_malformed", "the domain of the address is none", Fault.RECIPIENT)
    return plain


def beyond_ascii(address: Address) -> bool:
    """Whether only a server that speaks SMTPUTF8 can take it."""
    return not address.username.isascii()


def written(text: str, *, taken: int) -> str:
    """Unstructured text in ASCII, folded; `taken` characters of its first line are used up."""
    if text.isascii() and "=?" not in text:
        return _folded(text, taken)
    return "\r\n ".join(_encoded_words(text, taken))


def written_mailbox(address: Address, *, taken: int) -> str:
    """`"Li, Hua" <li@example.com>`; no name can pass for a second address."""
    if not address.display_name:
        return address.addr_spec
    return f"{_phrase(address.display_name, taken)} <{address.addr_spec}>"


def _judged(text: str, what: str, most: int, fault: Fault) -> str:
    if _LINE_BREAK.search(text):
        raise Unfit(f"{what}_line_break", f"the {what} has a line break in it", fault)
    if _CONTROL.search(text):
        raise Unfit(f"control_character_in_{what}", f"the {what} has a control character", fault)
    if _ENCODED_WORD.search(text):
        raise Unfit(f"encoded_word_in_{what}", f"the {what} looks encoded: =?…?=", fault)
    if len(text) > most:
        detail = f"the {what} has {len(text)} characters; allowed: at most {most}"
        raise Unfit(f"{what}_too_long", detail, fault)
    return text


def _name(name: str | None) -> str:
    kept = _judged(name or "", "name", MOST_NAME, Fault.RECIPIENT).strip(" ")
    if "<" in kept or ">" in kept:
        raise Unfit("address_in_name", "the name has < or > in it", Fault.RECIPIENT)
    return kept


def _phrase(name: str, taken: int) -> str:
    if not name.isascii() or "=?" in name:
        return "\r\n ".join(_encoded_words(name, taken))
    if _ATOMS.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _encoded_words(text: str, taken: int) -> Iterator[str]:
    """RFC 2047; a character is never divided between two words."""
    room = max(3, (LINE - taken - 12) // 4 * 3)
    word = b""
    for char in text:
        octets = char.encode()
        if word and len(word) + len(octets) > min(room, _WORD_BYTES):
            yield _encoded_word(word)
            word, room = b"", _WORD_BYTES
        word += octets
    yield _encoded_word(word)


def _encoded_word(octets: bytes) -> str:
    return f"=?utf-8?b?{base64.b64encode(octets).decode()}?="


def _folded(text: str, taken: int) -> str:
    """Broken before blanks that a word follows, so that no line is blank."""
    lines, line = [], ""
    for piece in re.findall(" *[^ ]+", text):
        if line and taken + len(line) + len(piece) > LINE:
            lines.append(line)
            line, taken = "", 0
        line += piece
    return "\r\n".join([*lines, line])
