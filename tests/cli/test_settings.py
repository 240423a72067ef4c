"""Where a setting comes from, and what is said when one is wrong."""

from __future__ import annotations

import re
from datetime import time
from pathlib import Path

import pytest

from lifecycle import resources
from lifecycle.clock import ClockSpec
from lifecycle.errors import Unusable
from lifecycle.settings import FLAGS, VARIABLES, LogForm, LogLevel, NightTime, read_settings


def config(folder: Path, text: str) -> dict[str, str | None]:
    (folder / "settings.yaml").write_text(text, "utf-8")
    return {"config_dir": str(folder)}


def test_a_flag_wins_over_the_environment_which_wins_over_the_file(tmp_path: Path) -> None:
    flags = config(
        tmp_path, "port: 1111\ndatabase_url: postgresql://file\nclock: 2001-01-01T00:00:00Z"
    )
    environment = {"LIFECYCLE_PORT": "2222", "LIFECYCLE_DATABASE_URL": "postgresql://environment"}
    settings = read_settings({**flags, "port": "3333"}, environment)
    assert settings.port == 3333
    assert settings.database_url == "postgresql://environment"
    assert settings.clock == ClockSpec.parse("2001-01-01T00:00:00Z")


def test_without_anything_named_the_defaults_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default database alone depends on where one stands."""
    monkeypatch.chdir(tmp_path)
    settings = read_settings({}, {})
    assert settings.database_url == f"sqlite:///{tmp_path}/lifecycle.db"
    assert settings.config_dir == resources.config_dir()
    assert settings.port == 8000
    assert settings.metrics_port is None, "nothing listens unless somebody asks for it"
    assert settings.metrics_host == "127.0.0.1", "and then to nobody but this machine"
    assert settings.clock is None
    assert (settings.log, settings.log_level) == (LogForm.TEXT, None)


def test_the_form_and_the_level_of_the_log_are_settings_like_the_others() -> None:
    settings = read_settings({"log": "json"}, {"LIFECYCLE_LOG_LEVEL": "debug"})
    assert (settings.log, settings.log_level) == (LogForm.JSON, LogLevel.DEBUG)


def test_a_variable_that_is_set_but_empty_counts_as_unset() -> None:
    assert read_settings({}, {"LIFECYCLE_PORT": "", "LIFECYCLE_CLOCK": ""}).port == 8000


def test_a_relative_database_file_starts_from_where_it_was_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the command line from the working directory; in settings.yaml from that file's folder."""
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    filed = read_settings(config(folder, "database_url: sqlite:///shop.db"), {})
    flagged = read_settings({"database_url": "sqlite:///shop.db"}, {})
    assert filed.database_url == f"sqlite:///{folder}/shop.db"
    assert flagged.database_url == f"sqlite:///{tmp_path}/shop.db"


@pytest.mark.parametrize(
    "url", ["sqlite:////srv/a.db", "sqlite:///:memory:", "postgresql://u@h/db", "mysql://x"]
)
def test_any_other_database_url_is_handed_on_as_it_is(url: str) -> None:
    assert read_settings({"database_url": url}, {}).database_url == url


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "prot: 8000",
            r"settings.yaml:1:1: unknown setting 'prot', did you mean 'port'\?; allowed: ",
        ),
        ("port: 1\nport: 2", "settings.yaml:2:1: 'port' is set twice"),
        ("port: [1]", "settings.yaml:1:1: 'port' needs one value"),
        ("port:", "settings.yaml:1:1: 'port' needs one value"),
        ("port: 99999", "settings.yaml:1:1: port: '99999' is not a port; allowed: 1 to 65535"),
        ("port: -1", "'-1' is not a port"),
        ("port: 8e3", "'8e3' is not a port"),
        (
            "metrics_host: metrics",
            "metrics_host: 'metrics' is not an address to listen on; allowed",
        ),
        ("log: xml", "settings.yaml:1:1: log: 'xml' is not possible; allowed: text, json"),
        ("log_level: loud", "log_level: 'loud' is not possible; allowed: warning, info, debug"),
        ("clock: noon", "settings.yaml:1:1: clock: 'noon' is not a clock; allowed: "),
        ("port: 1\n\tclock: x", "settings.yaml:2:1: not YAML"),
        ("- port", "settings are lines of `name: value`"),
        ("port: 1 # " + "x" * 70_000, "larger than 65536 bytes"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_its_place(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(Unusable, match=said):
        read_settings(config(tmp_path, text), {})


def test_a_broker_is_named_by_a_url_and_a_prefix() -> None:
    environment = {
        "LIFECYCLE_BROKER_URL": "rediss://:pass%20word@broker:6380/3",
        "LIFECYCLE_BROKER_PREFIX": "staging",
    }
    settings = read_settings({}, environment)
    assert settings.broker_url == "rediss://:pass%20word@broker:6380/3"
    assert settings.broker_prefix == "staging"
    without = read_settings({}, {})
    assert (without.broker_url, without.broker_prefix) == (None, "lifecycle")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("kafka://:hush@broker", "LIFECYCLE_BROKER_URL: unknown scheme 'kafka'; allowed: redis://"),
        ("broker:6379:hush", "LIFECYCLE_BROKER_URL: .*; allowed: redis://"),
        ("localhost", "this is not a URL; allowed: redis://"),
        ("redis://", "no host is named; write redis://host"),
        ("redis://:hush@broker:port/0", "this is not a URL .*port.*; allowed: redis://"),
        ("amqp://:hush@[broker", "this is not a URL"),
        ("redis://u:hush/x@broker", "this is not a URL .*%2F"),
        ("redis://u:123/hush@broker", "an @ stands after the host; write / .* as %2F"),
        ("redis://:hush@broker/abc", "'abc' is no database of a Redis; allowed: its number, as in"),
        ("rediss://:hush@broker/1.5", "'1.5' is no database .*, as in rediss://host:6379/0"),
        ("redis://:hush@broker/-1", "'-1' is no database of a Redis"),
        ("redis://:hush@broker/0/1", "'0/1' is no database of a Redis"),
        ("redis://:hush@broker?db=one", "'one' is no database of a Redis"),
        (
            "redis://:hush@broker/1?foo=bar",
            "unknown option 'foo' .*; allowed with redis://: client_",
        ),
        (
            "redis://:hush@broker?socket_timout=3",
            "'socket_timout' .*, did you mean 'socket_timeout'",
        ),
        ("redis://:hush@broker?host=elsewhere", "unknown option 'host'"),
        (
            "rediss://:hush@broker?ssl_cert_reqs=none",
            "unknown option 'ssl_cert_reqs'.*ssl_ca_certs",
        ),
        (
            "amqps://:hush@broker?ssl_options=1",
            "unknown option 'ssl_options' .*amqps://: channel_max",
        ),
        ("amqp://:hush@broker?foo=", "unknown option 'foo' .*; allowed with amqp://: .*heartbeat"),
        (
            "redis://:hush@broker?ssl_ca_certs=/ca",
            "ssl_ca_certs is for rediss://, and this is redis",
        ),
    ],
)
def test_a_broker_that_cannot_be_is_refused_without_repeating_its_password(
    url: str, said: str
) -> None:
    with pytest.raises(Unusable, match=said) as refused:
        read_settings({}, {"LIFECYCLE_BROKER_URL": url})
    assert "hush" not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_broker_is_required_only_where_somebody_says_so(tmp_path: Path) -> None:
    assert not read_settings({}, {}).require_broker
    assert read_settings({"require_broker": "true"}, {}).require_broker
    assert read_settings({}, {"LIFECYCLE_REQUIRE_BROKER": "true"}).require_broker
    assert read_settings(config(tmp_path, "require_broker: true"), {}).require_broker
    not_here = {"LIFECYCLE_REQUIRE_BROKER": "false"}
    assert not read_settings(config(tmp_path, "require_broker: true"), not_here).require_broker
    with pytest.raises(Unusable, match="LIFECYCLE_REQUIRE_BROKER: 'yes' is neither true nor false"):
        read_settings({}, {"LIFECYCLE_REQUIRE_BROKER": "yes"})


@pytest.mark.parametrize(
    "url",
    [
        "redis://broker",
        "redis://broker/",
        "redis://broker/15",
        "redis://broker?db=3&socket_timeout=9",
        "amqp://broker/%2F?heartbeat=30",
        "amqp://broker/abc",  # a virtual host has a name
    ],
)
def test_a_broker_that_may_be_is_taken_as_it_is_written(url: str) -> None:
    assert read_settings({}, {"LIFECYCLE_BROKER_URL": url}).broker_url == url


@pytest.mark.parametrize("named", ["ca.pem", "/nowhere/ca.pem"])
def test_the_file_of_a_broker_s_authority_is_looked_for_at_once(named: str) -> None:
    """A process that asked for it only when it connects would take the broker for away, for ever."""
    with pytest.raises(Unusable, match=rf"LIFECYCLE_BROKER_URL: ssl_ca_certs names '{named}'"):
        read_settings({}, {"LIFECYCLE_BROKER_URL": f"amqps://:hush@h/%2F?ssl_ca_certs={named}"})


@pytest.mark.parametrize("prefix", ["1st", "a b", "a:b", "über", "x" * 65])
def test_a_prefix_that_could_not_begin_every_name_is_refused(prefix: str) -> None:
    with pytest.raises(Unusable, match=r"LIFECYCLE_BROKER_PREFIX: .* allowed: a letter"):
        read_settings({}, {"LIFECYCLE_BROKER_PREFIX": prefix})


@pytest.mark.parametrize("number", ["0", "-1", "many", "1e6", "1" * 13])
def test_how_much_may_wait_is_a_number_of_events(number: str) -> None:
    assert read_settings({}, {}).max_pending == 10_000_000
    assert read_settings({"max_pending": "5"}, {"LIFECYCLE_MAX_PENDING": "7"}).max_pending == 5
    with pytest.raises(Unusable, match=r"LIFECYCLE_MAX_PENDING: .* is no number of events"):
        read_settings({}, {"LIFECYCLE_MAX_PENDING": number})


def test_a_file_that_is_no_text_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_bytes(b"port: \xff")
    with pytest.raises(Unusable, match=r"settings\.yaml: cannot be read") as refused:
        read_settings({"config_dir": str(tmp_path)}, {})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "\n", "# port: 1\n\n  # 设置 ✓\n", "# a: b\r\n#c"])
def test_a_file_of_comments_says_nothing(tmp_path: Path, text: str) -> None:
    assert read_settings(config(tmp_path, text), {}).port == 8000


@pytest.mark.parametrize(
    "text", ["# a\x85port: 1", "# a\nport: 1", "# a\rport: 1", "\ufeffport: 1"]
)
def test_a_setting_behind_a_comment_is_read_whatever_ends_the_line(
    tmp_path: Path, text: str
) -> None:
    assert read_settings(config(tmp_path, text), {}).port == 1


def test_a_misspelt_variable_is_refused_and_not_passed_over() -> None:
    """Passed over, it would mean working on the default database without a word."""
    with pytest.raises(Unusable, match="did you mean LIFECYCLE_DATABASE_URL"):
        read_settings({}, {"LIFECYCLE_DATABSE_URL": "postgresql://production"})


def test_variables_of_others_are_left_alone() -> None:
    environment = {"LIFECYCLE_TEST_POSTGRES_URL": "x", "LIFECYCLEPORT": "x", "LIFECYCLE_STAGE": "x"}
    assert read_settings({}, environment).port == 8000


def test_a_config_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        Unusable, match=re.escape(f"LIFECYCLE_CONFIG_DIR: there is no folder '{tmp_path}/x'")
    ):
        read_settings({}, {"LIFECYCLE_CONFIG_DIR": str(tmp_path / "x")})


def test_the_shipped_file_names_every_setting_and_sets_none() -> None:
    """What an installer reads there is complete, and a fresh checkout runs on the defaults."""
    text = (resources.config_dir() / "settings.yaml").read_text("utf-8")
    assert read_settings({}, {}).port == 8000
    for name in FLAGS.keys() - {"config_dir"}:
        assert f"# {name}: " in text
        assert f"{VARIABLES[name]}, {FLAGS[name]}" in text


def test_when_the_night_begins_is_a_time_of_day_and_perhaps_a_zone() -> None:
    assert read_settings({}, {}).night == NightTime(at=time(3, 30), zone=None)
    assert read_settings({"night": "02:15"}, {}).night == NightTime(at=time(2, 15))
    berlin = read_settings({}, {"LIFECYCLE_NIGHT": "23:05 Europe/Berlin"}).night
    assert berlin == NightTime(at=time(23, 5), zone="Europe/Berlin")


@pytest.mark.parametrize("text", ["24:00", "3:30", "noon", "03:30:00", "03:30 Mars", "03:30 UTC+8"])
def test_a_night_that_begins_at_no_time_is_refused(text: str) -> None:
    with pytest.raises(Unusable, match=r"^--night: .* is no time.*; allowed: "):
        read_settings({"night": text}, {})


@pytest.mark.parametrize(
    "text", ["scoring", "scoring.tiers", "scoring:", ":tiers", "a b:c", "a:b.c"]
)
def test_a_hook_that_names_no_function_is_refused(text: str) -> None:
    with pytest.raises(
        Unusable, match=r"^--scoring: .* names no function; allowed: module:function"
    ):
        read_settings({"scoring": text}, {})
    assert read_settings({"scoring": "ours.scoring:tiers"}, {}).scoring == "ours.scoring:tiers"


@pytest.mark.parametrize("text", ["0", "-1", "ten", "1.5", "100000"])
def test_a_number_of_days_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(
        Unusable, match=r"^--keep-days: .* is no number of days; allowed: 1 to 99999"
    ):
        read_settings({"keep_days": text}, {})
    assert read_settings({"keep_days": "7"}, {}).keep_days == 7
