"""Where is there to send to? An installation whose messages are due, and a mail server that fails.

Each customer has paid, which marketing thanks her for, and was paid back, of which a service message
tells. The server fails in turn at every stage of the protocol, and writes down what it took.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from lifecycle.domain.builtin import CONSENT_GIVEN, CONSENT_WITHDRAWN, PROFILE_CHANGED
from lifecycle.domain.event import Event
from tests.chaos.lives import ROOT
from tests.policies import scenario_policy

SECRET = hashlib.sha256(
    b"of the chaos run"
).hexdigest()  # signs the keys of letters, so that reports name them
TAKEN, REPORTED = "CHAOS_TAKEN", "CHAOS_REPORTED"  # variables that name files, for the lives
OFFER, RECEIPT = "offer", "receipt"

POLICY = (
    scenario_policy(
        outreach=(
            f"{{name: {OFFER}, on: {{event: order_paid}}, channels: [email], holdout: 0%}}",
            f"{{name: {RECEIPT}, on: {{event: order_refunded}}, channels: [email], class: service}}",
        )
    )
    + "sending: {surge: {least: 999999999}}\n"  # everything falls due at once, on purpose
)
CHANNELS = """\
company: {{name: Example Ltd, address: "1 Example Road, 200000 Shanghai, China"}}
channels:
  email:
    kind: smtp
    host: 127.0.0.1
    port: {port}
    security: none
    hello: mail.example.com
    senders: {{care: {{name: Example Care, address: care@mail.example.com}}}}
    signed_by: mail.example.com
    timeout: 1s
    letters_per_connection: 5
    breaker: {{faults: 5, pause: 1s, longest: 2s}}
"""
TEXTS = {
    "_layouts/plain.mjml": (
        "<mjml><mj-body><mj-section><mj-column>{{ body }}</mj-column></mj-section></mj-body></mjml>"
    ),
    f"{OFFER}/email.en.mjml": (
        "---\nsubject: Thank you\nlayout: plain\n---\n<mj-text>Hello {{ customer.name }}."
        ' <a href="{{ links.unsubscribe }}">No more of these</a></mj-text>\n'
    ),
    f"{RECEIPT}/email.en.mjml": (
        "---\nsubject: Your money is back\nlayout: plain\n---\n"
        "<mj-text>Hello {{ customer.name }}.</mj-text>\n"
    ),
}

FAULTS = (  # at a stage: a code, or what else happens
    *("connect:421", "connect:554", "connect:cut", "connect:hang"),
    *("ehlo:421", "ehlo:550", "ehlo:cut", "ehlo:hang"),
    *("mail:451", "mail:550", "mail:cut", "mail:hang"),
    *("rcpt:450", "rcpt:550", "rcpt:cut", "rcpt:hang"),
    *("data:451", "data:554", "data:cut", "data:hang"),
    *("body:cut", "body:hang"),
    *("dot:451", "dot:550", "dot:cut", "dot:cut-untaken", "dot:hang"),
)
HAPPENED = tuple(sorted({fault.replace("-untaken", "").replace(":", " ") for fault in FAULTS}))


@dataclass(slots=True)
class MailServer:
    """A process of its own: it outlives every sender."""

    port: int
    log: Path
    answers: Counter[str] = field(default_factory=Counter)  # "stage what", once it has ended
    connections: int = 0

    def taken(self) -> Counter[str]:
        """How often it took each letter, by key."""
        return Counter(line.partition("\t")[0] for line in self.log.read_text().splitlines())


@contextlib.contextmanager
def mail_server(log: Path, every: int) -> Iterator[MailServer]:
    """Fails each `every`th time that a stage is passed; says how often and how, when it has ended."""
    log.touch()
    faults = [word for fault in FAULTS for word in ("--fault", f"{fault}:1")]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.support.smtp", "--log", str(log)),
            *("--every", str(every), "--until-eof", *faults),
        ],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        try:
            where = process.stdout.readline().strip()
            server = MailServer(port=int(where.rpartition(":")[2]), log=log)
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            last = process.stdout.readline()
            process.wait()
        told = json.loads(last)
        server.answers.update(told["answers"])
        server.connections = told["connections"]


def furnish(folder: Path, port: int) -> None:
    """The files of the installation: policy, channels, templates."""
    config = folder / "config"
    config.mkdir()
    (config / "policy.yaml").write_text(POLICY, encoding="utf-8")
    (config / "channels.yaml").write_text(CHANNELS.format(port=port), encoding="utf-8")
    for name, text in TEXTS.items():
        file = folder / "templates" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def environment(folder: Path, url: str, log: Path) -> dict[str, str]:
    """What a process of the installation finds around it."""
    return {
        "LIFECYCLE_DATABASE_URL": url,
        "LIFECYCLE_CONFIG_DIR": str(folder / "config"),
        "LIFECYCLE_TEMPLATES_DIR": str(folder / "templates"),
        "LIFECYCLE_PUBLIC_URL": "https://shop.example.com",
        "LIFECYCLE_SECRET": SECRET,
        TAKEN: str(log),
        REPORTED: str(folder / "reported"),
    }


def customer(number: int) -> str:
    return f"c{number:05d}"


def known(name: str, now: datetime) -> list[Event]:
    """She told her name and address, and agreed to marketing."""
    attributes = {"name": name.title(), "email": f"{name}@example.org"}
    agreed = {"purpose": "marketing", "channel": "email"}
    return [
        _event(name, "profile", PROFILE_CHANGED, now, {"attributes": attributes}),
        _event(name, "agreed", CONSENT_GIVEN, now, agreed),
    ]


def bought(name: str, now: datetime, number: int = 0) -> list[Event]:
    """She paid and was paid back: a message of either class is due."""
    amount = {"amount": "10"}
    return [
        _event(name, f"paid-{number}", "order_paid", now, amount),
        _event(name, f"back-{number}", "order_refunded", now, amount),
    ]


def withdrawn(name: str, now: datetime) -> Event:
    agreed = {"purpose": "marketing", "channel": "email"}
    return _event(name, "left", CONSENT_WITHDRAWN, now, agreed)


def _event(name: str, id: str, kind: str, now: datetime, properties: Mapping[str, object]) -> Event:
    return Event("shop", f"{name}-{id}", name, kind, now, now, properties)
