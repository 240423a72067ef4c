"""One secret, a key for every use, and nothing of it to be seen."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import pytest

from lifecycle.errors import Unusable
from lifecycle.outreach.secret import Secret, secret_of
from lifecycle.settings import Settings, read_settings

GIVEN = bytes(range(32))


def settings(
    database_url: str, secret: bytes | None = None, previous: bytes | None = None
) -> Settings:
    return Settings(
        database_url=database_url, config_dir=Path(), secret=secret, secret_previous=previous
    )


def test_a_key_is_hkdf_of_the_secret_and_its_use() -> None:
    """Worked out by hand from RFC 5869: extract with the salt, expand by one block."""
    import hashlib
    import hmac

    root = hmac.new(b"lifecycle-engine", GIVEN, hashlib.sha256).digest()
    expected = hmac.new(root, b"address\x01", hashlib.sha256).digest()
    assert Secret(GIVEN).key("address") == expected


def test_no_two_uses_share_a_key() -> None:
    uses = ["address", "letter", "link:unsubscribe", "link:survey", "link:confirm", "id"]
    assert len({Secret(GIVEN).key(use) for use in uses}) == len(uses)


def test_it_is_never_shown() -> None:
    secret = Secret(GIVEN)
    assert repr(secret) == str(secret) == f"<Secret {secret.id}>"
    with pytest.raises(TypeError, match="not written anywhere"):
        pickle.dumps(secret)


def test_a_short_one_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        Secret(b"short")


def test_those_before_it_are_found_by_their_ids() -> None:
    old = Secret(b"o" * 32)
    secret = Secret(GIVEN, previous=old)
    assert secret.named(old.id) is old
    assert secret.named(secret.id) is secret
    assert secret.named("00000000") is None


def test_what_the_settings_name_wins(tmp_path: Path) -> None:
    found = secret_of(settings(f"sqlite:///{tmp_path / 'a.db'}", GIVEN))
    assert found is not None
    assert found.id == Secret(GIVEN).id
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("secret", [GIVEN, None])
def test_the_one_before_it_is_still_known(tmp_path: Path, secret: bytes | None) -> None:
    """Named by LIFECYCLE_SECRET_PREVIOUS, beside one that is named or lies in its file."""
    old = b"o" * 16 + bytes(range(16))
    found = secret_of(settings(f"sqlite:///{tmp_path / 'a.db'}", secret, previous=old))
    assert found is not None
    assert found.named(Secret(old).id) is found.previous


def test_it_comes_from_the_environment_alone(tmp_path: Path) -> None:
    text = "0123456789abcdefghijklmnopqrstuvwxyz"
    named = read_settings(
        environment={
            "LIFECYCLE_CONFIG_DIR": str(tmp_path),
            "LIFECYCLE_DATABASE_URL": "postgresql:///x",
            "LIFECYCLE_SECRET_PREVIOUS": text,
        }
    )
    assert named.secret_previous == text.encode()
    assert text not in repr(named)
    (tmp_path / "settings.yaml").write_text(f"secret_previous: {text}\n", encoding="utf-8")
    with pytest.raises(Unusable, match="unknown setting 'secret_previous'") as caught:
        read_settings(environment={"LIFECYCLE_CONFIG_DIR": str(tmp_path)})
    assert text not in str(caught.value)


def test_postgresql_without_one_has_none() -> None:
    assert secret_of(settings("postgresql:///lifecycle")) is None


def test_beside_an_sqlite_file_it_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    assert secret_of(settings(url), make=False) is None
    first, again = secret_of(settings(url)), secret_of(settings(url), make=False)
    assert first is not None
    assert again is not None
    assert first.id == again.id
    assert (tmp_path / "a.db.secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a.db.secret"]


def test_those_who_make_it_at_once_agree(tmp_path: Path) -> None:
    url, found = f"sqlite:///{tmp_path / 'a.db'}", set[str]()
    ready = threading.Barrier(8)

    def make() -> None:
        ready.wait()
        secret = secret_of(settings(url))
        assert secret is not None
        found.add(secret.id)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.db.secret"]


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    secret_of(settings(url))
    (tmp_path / "a.db.secret").chmod(0o644)
    with pytest.raises(Unusable, match=r"chmod 600 .*a\.db\.secret"):
        secret_of(settings(url))


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.db.secret"
    file.write_bytes(b"abc")
    file.chmod(0o600)
    with pytest.raises(Unusable, match="no secret of ours any more"):
        secret_of(settings(f"sqlite:///{tmp_path / 'a.db'}"))


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="set LIFECYCLE_SECRET"):
        secret_of(settings("sqlite:////proc/nothing/a.db"))
