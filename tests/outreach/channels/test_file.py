"""Letters in a folder: whole or not at all, and one file for a letter however often it is written."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from email import policy
from email.parser import BytesParser
from pathlib import Path

import pytest

from lifecycle.outreach.channels import Channel
from lifecycle.outreach.outcome import Accepted, Fault, Refused
from tests.support.letters import SENDERS, a_letter, channels_of


def channel(folder: Path, *more: str) -> Channel:
    keys = "".join(f"    {line}\n" for line in ("kind: file", "folder: letters", *more))
    return channels_of(folder, f"channels:\n  email:\n{keys}")["email"]


def test_with_senders_a_letter_is_an_e_mail(tmp_path: Path) -> None:
    email = channel(tmp_path, SENDERS)
    assert email.send(a_letter("11-22")) == Accepted(provider_id="11-22.eml")
    (file,) = (tmp_path / "letters").iterdir()
    message = BytesParser(policy=policy.default).parsebytes(file.read_bytes())
    assert (file.name, message["To"]) == ("11-22.eml", "li@example.org")
    assert message["Message-ID"] == "<11-22@mail.example.com>"


def test_without_senders_it_is_told_as_json(tmp_path: Path) -> None:
    letter = a_letter("11-22", subject=None, html=None, text="您好", name="李华")
    assert channel(tmp_path).send(letter) == Accepted(provider_id="11-22.json")
    told = json.loads((tmp_path / "letters" / "11-22.json").read_text("utf-8"))
    assert (told["key"], told["text"], told["class"]) == ("11-22", "您好", "marketing")
    assert told["to"] == {"address": "li@example.org", "name": "李华"}


def test_a_letter_of_the_same_key_is_the_same_file(tmp_path: Path) -> None:
    email = channel(tmp_path, SENDERS)
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: email.send(a_letter("11-22")), range(64)))
    assert set(outcomes) == {Accepted(provider_id="11-22.eml")}
    assert [file.name for file in (tmp_path / "letters").iterdir()] == ["11-22.eml"]
    assert email.same_key_for is not None


def test_it_is_not_real_and_always_ready(tmp_path: Path) -> None:
    email = channel(tmp_path, SENDERS)
    assert not email.is_real
    assert email.unready(marketing=True) == ()
    assert email.address == "email"


@pytest.mark.parametrize("key", ["../11", "/etc/passwd", "", "a" * 65, "A", "a.b", "a\0"])
def test_a_key_that_could_leave_the_folder_is_refused(key: str, tmp_path: Path) -> None:
    for email in (channel(tmp_path), channel(tmp_path, SENDERS)):
        outcome = email.send(a_letter(key))
        assert isinstance(outcome, Refused)
        assert (outcome.code, outcome.permanent) == ("key_malformed", True)
    assert not (tmp_path / "letters").exists()


def test_a_folder_that_cannot_be_written_is_a_sure_no(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("a file stands in its place")
    outcome = channel(tmp_path).send(a_letter("11-22"))
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.fault) == ("not_written", Fault.PROVIDER)
    assert not outcome.permanent


def test_what_is_no_e_mail_is_not_written(tmp_path: Path) -> None:
    outcome = channel(tmp_path, SENDERS).send(a_letter(subject="a\r\nBcc: evil@x.example"))
    assert isinstance(outcome, Refused)
    assert outcome.code == "subject_line_break"
    assert not (tmp_path / "letters").exists()
