"""Is it measured which letters of a channel are opened, and what is clicked? Only where its settings say so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lifecycle.domain.builtin import EVERY_CHANNEL
from lifecycle.outreach.channels.settings import Around, ChannelSettings, Settings
from lifecycle.policy.format import PURPOSE
from lifecycle.policy.records import Fields, Key
from lifecycle.policy.report import Report
from lifecycle.policy.words import YesNo

NOT_ASKED = "none"  # as `consent`: everybody is measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is measured of a channel's marketing, and of whom."""

    opens: bool = False
    clicks: bool = False
    consent: str | None  # the purpose that she must have agreed to; None: it is not asked for


MEASURE = Settings(
    "what is measured",
    (
        Key(
            name="opens",
            shape=YesNo(),
            about="Whether letters have a picture that tells when they are opened.",
            default="false",
        ),
        Key(
            name="clicks",
            shape=YesNo(),
            about="Whether links lead through this program, which tells when they are followed.",
            default="false",
        ),
        Key(
            name="consent",
            shape=PURPOSE,
            about=(
                "The purpose that a customer must have agreed to for this channel before anything of"
                " her is measured; `none`: she is not asked."
            ),
            required=True,
        ),
    ),
)
KEY = Key(
    name="measure",
    shape=MEASURE,
    about="Opens and clicks of marketing are measured. Left out: nothing is.",
)


def measure_of(fields: Fields) -> Measure | None:
    """From the key above; None: nothing is measured."""
    said: Fields | None = fields.value("measure")
    if said is None:
        return None
    consent: str = said.value("consent", NOT_ASKED)
    return Measure(
        opens=said.flag("opens"),
        clicks=said.flag("clicks"),
        consent=None if consent == NOT_ASKED else consent,
    )


def may_measure(purpose: str | None, channel: str, consents: Mapping[str, bool]) -> bool:
    """What she said of this channel wins over what she said of all; nothing said is no."""
    if purpose is None:
        return True
    return consents.get(f"{purpose}/{channel}", consents.get(f"{purpose}/{EVERY_CHANNEL}", False))


def check(settings: ChannelSettings, report: Report) -> None:
    """Whoever measures says what."""
    measure = measure_of(settings.fields)
    if measure is not None and not measure.opens and not measure.clicks:
        place = settings.fields["measure"].place
        report.error(
            place,
            "nothing_measured",
            "found neither opens nor clicks; allowed: opens: true, clicks: true, or no measure at all",
        )


def lacking(measure: Measure | None, around: Around) -> Iterator[str]:
    """What marketing still needs because it is measured, a sentence each."""
    if measure is None:
        return
    if around.public_url is None:
        yield (
            "measured letters lead through this program; set LIFECYCLE_PUBLIC_URL to the address"
            " where customers reach us, or take measure out"
        )
    if not around.signs:
        yield (
            "links of measured letters need a secret to be signed with; set LIFECYCLE_SECRET, or take"
            " measure out"
        )
