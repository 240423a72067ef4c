"""May SQLite be used on this path, by this process? Opening the file is `sqlite`'s."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import IO

from lifecycle.errors import Unusable

NEEDED = (3, 35, 0)  # RETURNING, and the upsert that intake relies on
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "9p", "virtiofs"})
NETWORK_FUSE = frozenset({"fuse.sshfs", "fuse.smbnetfs", "fuse.glusterfs", "fuse.s3fs"})


def refuse_unusable(
    path: Path,
    shown: str,
    *,
    mounts: Callable[[], str],
    version: tuple[int, int, int] = sqlite3.sqlite_version_info,
) -> None:
    """Raise `Unusable` where SQLite would fail later, or worse, corrupt the file."""
    if version < NEEDED:
        raise Unusable(
            f"{shown}: this Python brings SQLite {'.'.join(map(str, version))}, and "
            f"{'.'.join(map(str, NEEDED))} or newer is needed; use a newer Python or PostgreSQL"
        )
    if path.is_dir():
        raise Unusable(f"{shown}: is a directory; name a file in it, such as lifecycle.db")
    directory = path.absolute().parent
    if not directory.is_dir():
        raise Unusable(f"{shown}: the directory {directory} does not exist; create it first")
    kind = file_system(directory, mounts())
    if kind in NETWORK or kind in NETWORK_FUSE:
        raise Unusable(
            f"{shown}: lies on a network file system ({kind}), where SQLite corrupts its file; "
            "use a local disk or PostgreSQL"
        )
    for needed in (path, directory) if path.exists() else (directory,):
        if not _writable(needed):
            raise Unusable(
                f"{shown}: {needed} is not writable for this user; change its permissions or "
                "name another path"
            )


def read_mounts() -> str:
    """What is mounted where, as Linux tells it; empty where it does not."""
    try:
        return Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def file_system(directory: Path, mounts: str) -> str | None:
    """The type of the file system that holds the directory: that of the longest mount point."""
    real = directory.resolve()
    best: tuple[int, str] | None = None
    for line in mounts.splitlines():
        _, mount_point, kind, *_ = line.split(" ")
        # Spaces and the like stand as octal escapes.
        point = Path(mount_point.encode().decode("unicode_escape"))
        if real.is_relative_to(point) and (best is None or len(point.parts) >= best[0]):
            best = (len(point.parts), kind)
    return best[1] if best else None


def lock_file(path: Path, shown: str) -> IO[str]:
    """Keep every other process that asks the same away until the file is closed or we die."""
    name = path.with_name(path.name + ".lock")
    file = name.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise Unusable(
            f"{shown}: another lifecycle process (id {holder}) runs on this file; stop it first, "
            "or use PostgreSQL to run several"
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
    return file


def _writable(path: Path) -> bool:
    """What the permissions and the mount say; root may ignore the former but not the latter."""
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)
