"""A command imports what it uses: nobody waits for the libraries of the others."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lifecycle.bootstrap import build
from lifecycle.settings import Settings
from tests.conftest import ROOT

PROGRAM = """
import json, sys
from lifecycle.cli import run

code = run(json.loads(sys.argv[1]))
top = {name.partition(".")[0] for name in sys.modules}
sys.stderr.write("\\n" + json.dumps([code, sorted(top)]))
"""
SERVERS = {"apscheduler", "dramatiq", "fastapi", "pika", "redis", "starlette", "uvicorn"}
DATABASES = {"alembic", "psycopg", "sqlalchemy", "sqlite3", "sqlmodel"}
LETTERS = {"cryptography", "dkim", "dns", "jinja2", "mrml"}
HEAVY = SERVERS | DATABASES | LETTERS | {"prometheus_client", "pydantic", "rich", "ruamel"}


pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture
def empty(home: Path) -> str:
    """The URL of a database without a customer."""
    url = f"sqlite:///{home}/empty.db"
    build(Settings(database_url=url, config_dir=ROOT / "config")).close()
    return url


def imported(*command: str) -> set[str]:
    """What of other people's stands imported at the end of a command that ends well."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(command)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    code, top = json.loads(ran.stderr.splitlines()[-1])
    assert code == 0
    return HEAVY & set(top)


def test_the_version_is_told_without_any_library_but_that_of_commands() -> None:
    assert imported("--version") == set()


def test_help_needs_nothing_but_what_shows_it() -> None:
    for command in ([], ["work"], ["up"], ["customer", "show"]):
        assert imported(*command, "--help") == {"rich"}


def test_a_policy_is_checked_without_a_database() -> None:
    file = ROOT / "config" / "policy.yaml"
    assert imported("policy", "check", str(file)) == {"rich", "ruamel"}


def test_a_look_into_a_file_needs_no_server_no_letter_and_no_yaml(empty: str) -> None:
    for command in (["log"], ["report", "states"], ["dead", "list"], ["task", "list"]):
        assert imported(*command, "--database", empty) == {"rich", "sqlite3"}
