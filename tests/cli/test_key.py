"""`lifecycle key …`: what is said of keys, where, and how each command ends."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lifecycle.bootstrap import build
from lifecycle.cli.exits import Code
from lifecycle.resources import config_dir
from lifecycle.settings import Settings
from tests.cli.conftest import Lifecycle

KEY = re.compile(r"lk_([0-9a-f]{12})_[0-9a-f]{64}")


def test_a_new_key_is_all_that_is_written_to_standard_output(lifecycle: Lifecycle) -> None:
    """`KEY=$(lifecycle key create shop)` works, and what is said beside it never lands in a file."""
    ran = lifecycle("key", "create", "shop")
    assert ran.code == Code.OK
    assert KEY.fullmatch(ran.out.strip())
    assert "may do events:write" in ran.err
    assert "cannot be shown again" in ran.err
    assert ran.out.strip() not in ran.err


def test_a_key_is_told_as_json_with_all_that_is_kept(lifecycle: Lifecycle) -> None:
    made = lifecycle(
        "key", "create", "shop", "--scope", "customers:read", "--scope", "transitions:read",
        "--rate", "12.5/s", "--burst", "40", "--expires", "2999-01-01", "--by", "olga", "--json",
    ).json  # fmt: skip
    shown = made.pop("key")
    found = KEY.fullmatch(shown)
    assert found is not None
    assert made["id"] == found[1]
    assert made["scopes"] == ["customers:read", "transitions:read"]
    assert (made["events_per_second"], made["burst"]) == (12.5, 40)
    assert (made["expires_at"], made["created_by"]) == ("2999-01-01T00:00:00Z", "olga")
    (listed,) = lifecycle("key", "list", "--json").json["keys"]
    assert listed == made
    assert shown not in str(listed)


@pytest.mark.parametrize(
    ("expires", "span"),
    [("90d", timedelta(days=90)), ("12h", timedelta(hours=12))],
)
def test_a_key_may_expire_some_time_from_now(
    lifecycle: Lifecycle, expires: str, span: timedelta
) -> None:
    before = datetime.now(UTC)
    made = lifecycle("key", "create", "shop", "--expires", expires, "--json").json
    at = datetime.fromisoformat(made["expires_at"])
    assert before + span <= at <= datetime.now(UTC) + span


def test_the_list_tells_what_became_of_each(lifecycle: Lifecycle) -> None:
    lifecycle("key", "create", "old", "--by", "olga")
    lifecycle("key", "revoke", "old", "--by", "eve")
    lifecycle("key", "create", "shop", "--rate", "100/s", "--expires", "2999-01-01")
    lifecycle("key", "create", "all", "--scope", "operations:read")
    told = lifecycle("key", "list").out.splitlines()
    lines = {
        name: next(line for line in told if f" {name} " in line) for name in ("old", "shop", "all")
    }
    assert "revoked by eve on" in lines["old"]
    assert "100/s, 1,000 at once" in lines["shop"]
    assert "valid until 2999-01-01 00:00:00 UTC" in lines["shop"]
    assert "operations:read" in lines["all"]
    assert "not limited" in lines["all"]
    assert "never" in lines["all"]


def test_a_list_of_none_says_who_is_answered(lifecycle: Lifecycle, home: Path) -> None:
    build(
        Settings(database_url=f"sqlite:///{home / 'lifecycle.db'}", config_dir=config_dir())
    ).close()
    assert "no key was ever made" in lifecycle("key", "list").out
    assert lifecycle("key", "list", "--json").json == {"keys": []}


def test_a_key_is_revoked_once(lifecycle: Lifecycle) -> None:
    made = lifecycle("key", "create", "shop", "--json").json
    done = lifecycle("key", "revoke", "shop", "--by", "eve", "--json").json
    assert (done["done"], done["id"], done["revoked_by"]) == ("revoke", made["id"], "eve")
    again = lifecycle("key", "revoke", made["id"], "--by", "zoe")
    assert again.code == Code.OK
    assert "Nothing was changed" in again.out
    assert "revoked by eve on" in again.out
    assert lifecycle("key", "revoke", made["id"], "--json").json["done"] is None


def test_a_second_key_of_one_name_tells_of_the_first(lifecycle: Lifecycle) -> None:
    first = lifecycle("key", "create", "shop", "--json").json["id"]
    assert f"another key called shop ({first})" in lifecycle("key", "create", "shop").err
    ran = lifecycle("key", "revoke", "shop")
    assert (ran.code, "key_ambiguous" in ran.err, first in ran.err) == (Code.BAD_INPUT, True, True)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["create"], Code.USAGE, "NAME"),
        (["create", "a shop"], Code.BAD_INPUT, "key_name_format"),
        (["create", "shop", "--scope", "everything"], Code.USAGE, "events:write"),
        (["create", "shop", "--rate", "100"], Code.USAGE, "write 100/s"),
        (["create", "shop", "--rate", "-1/s"], Code.USAGE, "write 100/s"),
        (["create", "shop", "--rate", "0/s"], Code.BAD_INPUT, "more than 0"),
        (["create", "shop", "--burst", "5"], Code.BAD_INPUT, "name the rate too"),
        (["create", "shop", "--expires", "soon"], Code.USAGE, "2027-01-01"),
        (["create", "shop", "--expires", "2027-02-30"], Code.USAGE, "not an instant"),
        (["create", "shop", "--expires", "2027-01-01T00:00:00"], Code.USAGE, "not an instant"),
        (["create", "shop", "--expires", "2020-01-01"], Code.BAD_INPUT, "expired already"),
        (["revoke", "nobody"], Code.REFUSED, "lifecycle key list"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    lifecycle: Lifecycle, arguments: list[str], code: Code, says: str
) -> None:
    lifecycle("key", "create", "other")
    ran = lifecycle("key", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert says in ran.err
    assert len(lifecycle("key", "list", "--json").json["keys"]) == 1
