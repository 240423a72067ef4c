"""What does a letter look like that is measured? Its links lead through us, and it has a picture of ours.

Links by which she leaves, chooses or answers stay as they are, and so does what leads to no place on
the web, or to one whose address is too long to be carried along.
"""

from __future__ import annotations

from lifecycle.outreach import rewriting
from lifecycle.outreach.channels.measuring import Measure
from lifecycle.outreach.secret import Secret
from lifecycle.outreach.tokens import Followed, Looked, followed_token, looked_token

OURS = ("u", "s", "c", "r", "o")  # our own paths, for customers: nothing leads to them by a detour


def measured(
    html: str, measure: Measure, public_url: str, secret: Secret, *, letter: str, channel: str
) -> str:
    """The same letter gives the same HTML on every try."""

    def lead(number: int, target: str) -> str | None:
        if _is_ours(target, public_url):
            return None
        link = Followed(
            letter=letter,
            channel=channel,
            consent=measure.consent,
            number=number,
            target=target,
        )
        token = followed_token(secret, link)
        return None if token is None else f"{public_url}/r/{token}"

    look = Looked(letter=letter, channel=channel, consent=measure.consent)
    return rewriting.measured(
        html,
        lead=lead if measure.clicks else None,
        picture=f"{public_url}/o/{looked_token(secret, look)}" if measure.opens else None,
    )


def _is_ours(target: str, public_url: str) -> bool:
    """Hosts are alike in capitals and small letters; paths of ours have small ones."""
    known = target.lower()
    paths = [f"{public_url.lower()}/{name}" for name in OURS]
    return any(known == path or known.startswith((f"{path}/", f"{path}?")) for path in paths)
