"""`lifecycle customer consents`: what she agreed to and took back, and what proves it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lifecycle.bootstrap import build
from lifecycle.cli.exits import Code
from lifecycle.settings import Settings
from lifecycle.store.database import Database
from tests.cli.conftest import Lifecycle
from tests.policies import SCENARIO_POLICY
from tests.store.made import add, day, new


@pytest.fixture
def url(home: Path) -> str:
    (home / "policy.yaml").write_text(SCENARIO_POLICY, encoding="utf-8")
    url = f"sqlite:///{home / 'lifecycle.db'}"
    build(Settings(database_url=url, config_dir=home)).close()
    db = Database.open(url)
    about: dict[str, Any] = {"purpose": "news", "channel": "email"}
    add(db, new("o1"))
    add(db, new("w1", type="consent_withdrawn", at=3, source="lifecycle", **about))
    add(db, new("g1", type="consent_given", at=1, evidence="form 7\x1b[31m", **about))
    db.close()
    return url


def test_every_line_of_the_ledger_says_who_when_and_why(lifecycle: Lifecycle, url: str) -> None:
    found = lifecycle("customer", "consents", "ann", "--json").json["consents"]
    assert [(each["id"], each["given"], each["source"], each["evidence"]) for each in found] == [
        ("g1", True, "shop", "form 7\x1b[31m"),
        ("w1", False, "lifecycle", None),
    ]
    assert found[0]["at"] == f"{day(1):%Y-%m-%dT%H:%M:%SZ}"
    assert found[0].keys() == {
        *("at", "received_at", "given", "purpose", "channel", "source", "id", "evidence", "dead")
    }


def test_people_get_a_table_that_nothing_in_it_can_disturb(lifecycle: Lifecycle, url: str) -> None:
    ran = lifecycle("customer", "consents", "ann")
    given, withdrawn = [line for line in ran.out.splitlines() if "news" in line]
    assert "given" in given
    assert "form 7" in given
    assert "withdrawn" in withdrawn
    assert "\x1b" not in ran.out


def test_a_customer_who_is_not_there_is_told(lifecycle: Lifecycle, url: str) -> None:
    ran = lifecycle("customer", "consents", "nobody")
    assert (ran.code, ran.out) == (Code.REFUSED, "")
    assert ran.err == "error: no customer is known as 'nobody'\n"
