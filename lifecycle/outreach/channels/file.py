"""The channel that writes into a folder: e-mails as .eml, other letters as .json, one file a letter."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from lifecycle.outreach.channels import measuring
from lifecycle.outreach.channels.letterhead import KEYS as LETTERHEAD_KEYS
from lifecycle.outreach.channels.letterhead import Letterhead, letterhead
from lifecycle.outreach.channels.mail import build
from lifecycle.outreach.channels.outbox import FOR_EVER
from lifecycle.outreach.channels.settings import Around, ChannelSettings, Kind, OneLine
from lifecycle.outreach.channels.smtp_answers import failed
from lifecycle.outreach.letter import Letter
from lifecycle.outreach.outcome import Accepted, Fault, Outcome, Refused
from lifecycle.policy.records import Key

_KEY = re.compile("[a-z0-9-]{1,64}")


class FileChannel:
    """A letter of the same key is the same file; it appears whole or not at all."""

    is_real = False
    same_key_for: timedelta | None = FOR_EVER

    def __init__(
        self, settings: ChannelSettings, folder: Path, head: Letterhead | None, around: Around
    ) -> None:
        self.name = settings.name
        self.address = settings.address
        self._folder, self._head, self._around = folder, head, around
        self._measure = measuring.measure_of(settings.fields)

    def unready(self, *, marketing: bool) -> Sequence[str]:
        """Nobody is written to; but what is to be measured cannot be without an address of ours."""
        return tuple(measuring.lacking(self._measure, self._around)) if marketing else ()

    def send(self, letter: Letter) -> Outcome:
        if not _KEY.fullmatch(letter.key):
            return Refused(
                code="key_malformed",
                detail="the key of the letter is none, so no file is named by it",
                fault=Fault.MESSAGE,
                permanent=True,
            )
        content = self._content(letter)
        if isinstance(content, Refused):
            return content
        path = self._folder / f"{letter.key}.{'json' if self._head is None else 'eml'}"
        try:
            _write(path, content)
        except OSError as error:
            return failed("not_written", f"{path}: {error.strerror or error}")
        return Accepted(provider_id=path.name)

    def close(self) -> None:
        """It holds nothing open."""

    def _content(self, letter: Letter) -> bytes | Refused:
        if self._head is None:
            return _as_json(letter)
        mail = build(letter, self._head, at=self._around.now())
        return mail if isinstance(mail, Refused) else mail.content


def _as_json(letter: Letter) -> bytes:
    told: Mapping[str, object] = {
        "key": letter.key,
        "channel": letter.channel,
        "rule": letter.rule,
        "class": "marketing" if letter.marketing else "service",
        "to": {"address": letter.to.address, "name": letter.to.name},
        "language": letter.content.language,
        "subject": letter.content.subject,
        "text": letter.content.text,
        "html": letter.content.html,
        "due_at": letter.due_at.isoformat() if letter.due_at else None,
    }
    return (json.dumps(told, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace")


def _write(path: Path, content: bytes) -> None:
    """Under another name first; renaming replaces what was there at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


KEYS = (
    Key(
        name="folder",
        shape=OneLine("a folder", most=500),
        about="Where the files go, from the config folder on. It is made where it is missing.",
        required=True,
    ),
    measuring.KEY,
    *(
        Key(
            name=key.name,
            shape=key.shape,
            about=f"{key.about} With senders, letters are written as e-mails."
            if key.name == "senders"
            else key.about,
            default=key.default,
        )
        for key in LETTERHEAD_KEYS
    ),
)


def _open(settings: ChannelSettings, around: Around) -> FileChannel:
    head = letterhead(settings.fields) if "senders" in settings.fields else None
    folder = settings.folder / settings.fields.value("folder")
    return FileChannel(settings, folder, head, around)


KIND = Kind(
    name="file",
    about="writes each letter as a file into a folder",
    keys=KEYS,
    open=_open,
    check=measuring.check,
)
