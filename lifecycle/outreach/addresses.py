"""When are two spellings the same address, and how is one known without being kept?

For recognising only: what a channel writes on the envelope is the channel's own business.
"""

from __future__ import annotations

import re
import unicodedata

from lifecycle.outreach.secret import Secret, keyed_hash

_USE = "address"
_SEPARATORS = re.compile(r"[\s().\-/\u2010-\u2015]+")
_NUMBER = re.compile(r"\+?[0-9]{5,20}")


def normalised(address: str) -> str:
    """One spelling for all of an address: of an e-mail, a phone number, or anything else.

    The part before the @ is compared without case, as every large provider does: that somebody is
    left alone who did not ask for it is the lesser harm. A number without a country is another one
    than with it: nobody but its owner knows which country was meant.
    """
    text = unicodedata.normalize("NFC", address.strip())
    if "@" in text:
        local, _, domain = text.rpartition("@")
        return f"{unicodedata.normalize('NFC', local.casefold())}@{_domain(domain)}"
    number = _SEPARATORS.sub("", unicodedata.normalize("NFKC", text))
    if _NUMBER.fullmatch(number):
        return f"+{number[2:]}" if number.startswith("00") else number
    return text


def address_hash(secret: Secret, channel: str, address: str) -> str:
    """By which an address of a channel is known where it is not kept; stable for one secret."""
    return keyed_hash(secret.key(_USE), channel, normalised(address))


def address_hashes(secret: Secret, channel: str, address: str) -> tuple[str, ...]:
    """The same by the secret in force and by those before it: ask for all of them.

    What was suppressed before the secret was replaced stays so while the old one is still named.
    """
    return tuple(address_hash(one, channel, address) for one in secret.all())


def _domain(domain: str) -> str:
    """In the form of the DNS where it has one; a name that it cannot have is kept as it is."""
    folded = domain.casefold().rstrip(".")
    if folded.isascii():
        return folded
    try:
        return folded.encode("idna").decode()
    except UnicodeError:
        return folded
