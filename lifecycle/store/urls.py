"""Which database does a URL name, and how may it be shown? Nobody connects here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from lifecycle.errors import Unusable
from lifecycle.store.sql import Dialect

_EXPECTED = "use sqlite:///path, sqlite:////absolute/path or postgresql://user@host/name"
_PASSWORD = re.compile(r"(?P<before>://[^/@:]*:)[^/@]*@")
_SECRET_OPTION = re.compile(r"(?P<name>[?&](?:password|sslpassword|passfile)=)[^&]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseUrl:
    dialect: Dialect
    shown: str  # without password: for messages and logs
    path: Path | None = None  # of SQLite's file
    conninfo: str | None = None  # what PostgreSQL's client library understands


def masked(url: str) -> str:
    """The URL with `***` for every password."""
    return _SECRET_OPTION.sub(r"\g<name>***", _PASSWORD.sub(r"\g<before>***@", url))


def parse(url: str) -> DatabaseUrl:
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise Unusable(f"database URL {masked(url)!r}: no scheme; {_EXPECTED}")
    if scheme == "sqlite":
        return _sqlite(url, rest)
    if scheme in {"postgresql", "postgres"}:
        return DatabaseUrl(dialect="postgresql", shown=masked(url), conninfo=f"postgresql://{rest}")
    raise Unusable(
        f"database URL {masked(url)!r}: {scheme!r} is not a database that this program knows, and "
        f"drivers are not named; {_EXPECTED}"
    )


def _sqlite(url: str, rest: str) -> DatabaseUrl:
    host, slash, path = rest.partition("/")
    if host or not slash:
        raise Unusable(f"database URL {url!r}: a host before the path; {_EXPECTED}")
    if not path or "?" in path or path == ":memory:":
        raise Unusable(f"database URL {url!r}: no file is named; {_EXPECTED}")
    return DatabaseUrl(dialect="sqlite", shown=url, path=Path(unquote(path)))
