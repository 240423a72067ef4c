"""What does an installation sign its links and hash its addresses with?

One secret, from which every use gets a key of its own, so that nothing made for one use is good for
another. It is never shown.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from lifecycle.errors import Unusable
from lifecycle.settings import LEAST_SECRET, Settings

KEY_BYTES = 32
_SALT = b"lifecycle-engine"
_SQLITE = "sqlite:///"


class Secret:
    """The secret in force and, while it is being replaced, those before it."""

    __slots__ = ("_keys", "_root", "id", "previous")

    def __init__(self, secret: bytes, previous: Secret | None = None) -> None:
        if len(secret) < LEAST_SECRET:
            raise ValueError(f"a secret has at least {LEAST_SECRET} bytes")
        self._root = hmac.digest(_SALT, secret, "sha256")
        self._keys: dict[str, bytes] = {}  # by use; there is a handful, each asked for all the time
        self.previous = previous  # what was signed with it is still good
        self.id = self.key("id").hex()[:8]  # tells which of several signed; says nothing of it

    def key(self, use: str) -> bytes:
        """The key for one use alone: HKDF with SHA-256 (RFC 5869), `use` being its info."""
        if use not in self._keys:
            self._keys[use] = hmac.digest(self._root, use.encode() + b"\x01", "sha256")
        return self._keys[use]

    def all(self) -> Iterator[Secret]:
        """The one in force first."""
        one: Secret | None = self
        while one is not None:
            yield one
            one = one.previous

    def named(self, id: str) -> Secret | None:
        """The one of that id, if it is still known."""
        return next((one for one in self.all() if one.id == id), None)

    def __repr__(self) -> str:
        return f"<Secret {self.id}>"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret is not written anywhere")


def secret_of(settings: Settings, *, make: bool = True) -> Secret | None:
    """The secret that the settings name; else, of an SQLite file, the one that lies beside it.

    That file is made once, and only if `make` says so. None: there is no secret, and no link can be
    signed. Raises Unusable where the file cannot be read or made, or others may read it.
    """
    before = settings.secret_previous
    previous = None if before is None else Secret(before)
    if settings.secret is not None:
        return Secret(settings.secret, previous)
    if not settings.database_url.startswith(_SQLITE):
        return None
    path = Path(unquote(settings.database_url.removeprefix(_SQLITE)) + ".secret")
    try:
        if make and not path.exists():
            _make(path)
        return Secret(_read(path), previous)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not make:
            return None
        raise Unusable(
            f"{path}: the secret of this installation cannot be read or made: {error.strerror};"
            " set LIFECYCLE_SECRET, or let this program write beside its database"
        ) from error


def _make(path: Path) -> None:
    """Whole or not at all; of two processes that make it at once the first one wins."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # of mode 600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES).hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(name, path)
        except FileExistsError:
            return
    finally:
        Path(name).unlink()


def _read(path: Path) -> bytes:
    content, mode = path.read_bytes().strip(), path.stat().st_mode
    if mode & 0o077:
        raise Unusable(f"{path}: others than its owner may read it; do: chmod 600 {path}")
    if len(content) < LEAST_SECRET:
        raise Unusable(
            f"{path}: this is no secret of ours any more; put it back from a backup, or remove the"
            " file: then links that were sent open nothing, and suppressed addresses are forgotten"
        )
    return content


def keyed_hash(key: bytes, *parts: str) -> str:
    """HMAC-SHA256 in hex; parts are kept apart, whatever is in them."""
    said = b"".join(len(part.encode()).to_bytes(4) + part.encode() for part in parts)
    return hmac.new(key, said, hashlib.sha256).hexdigest()
