"""What a sender tells whoever counts: every letter with its channel and outcome, and which channels are shut."""

from __future__ import annotations

from datetime import datetime

import pytest

from lifecycle.engine.installation import Installation
from lifecycle.engine.readiness import Broker
from lifecycle.engine.sending.sender import Sender
from lifecycle.metrics import Metrics
from lifecycle.outreach.outcome import Accepted, Ambiguous, Fault, Outcome, Refused
from tests.sending.conftest import bought, known
from tests.sending.post_office import TestOffice, Wire, fail
from tests.support.engine import arrive
from tests.support.metrics import Series, of, read

BUSY = Refused(code="421", detail="busy", fault=Fault.PROVIDER, permanent=False)
NOBODY = Refused(code="550", detail="nobody", fault=Fault.RECIPIENT, permanent=True)


def counted(inst: Installation, office: TestOffice) -> Series:
    """After everything that is due has left."""
    metrics = Metrics()
    sending = Sender(inst, office, failed=fail, observer=metrics)
    try:
        assert sending.send_due(30)
    finally:
        sending.stop()
    return read(metrics.page(inst, Broker.UNUSED).content.decode())


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        (Accepted(), "accepted"),
        (BUSY, "refused"),
        (NOBODY, "refused_for_good"),
        (Ambiguous(code="cut", detail=""), "ambiguous"),
    ],
)
def test_a_letter_is_counted_by_its_channel_and_by_what_came_of_it(
    inst: Installation, now: datetime, outcome: Outcome, name: str
) -> None:
    arrive(inst, *known(now), bought(now))
    series = counted(inst, TestOffice(Wire(answer=lambda _: outcome)))
    found = of(series, "letter_duration_seconds_count", {"channel": "email", "outcome": name})
    assert found == 1


def test_a_letter_that_could_not_be_written_is_counted_too(
    inst: Installation, now: datetime
) -> None:
    office = TestOffice(Wire())
    office.texts.broken.add("offer")
    arrive(inst, *known(now), bought(now))
    labels = {"channel": "email", "outcome": "no_text"}
    assert of(counted(inst, office), "letter_duration_seconds_count", labels) == 1


def test_channels_that_are_shut_are_told(inst: Installation) -> None:
    office = TestOffice(Wire(), Wire(name="sms"))
    office.shut["sms"] = 12.0
    series = counted(inst, office)
    assert of(series, "channel_shut", {"channel": "email"}) == 0
    assert of(series, "channel_shut", {"channel": "sms"}) == 1
