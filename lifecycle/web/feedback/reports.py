"""The routes by which programs hand on what came back: mails, reports of providers, consents to confirm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from lifecycle.domain.instant import instant_text
from lifecycle.domain.scope import Scope
from lifecycle.engine import wishes
from lifecycle.engine.feedback import Feedback, KnownAlready, Recorded, Taken, Unmatched, take
from lifecycle.engine.installation import Installation
from lifecycle.engine.shares import Shares
from lifecycle.engine.wishes import ASKED_FOR, Wanted
from lifecycle.errors import NotFound, Problem
from lifecycle.intake.native import customer_key
from lifecycle.intake.strict_json import KIB, scan, shown
from lifecycle.intake.values import identifier, unlisted
from lifecycle.outreach import dsn
from lifecycle.outreach.hooks import Posted
from lifecycle.outreach.replies import Ignored, Report
from lifecycle.outreach.tokens import asked_token
from lifecycle.web.access import Open, needs
from lifecycle.web.allowance import holding
from lifecycle.web.body import read_json_body
from lifecycle.web.feedback.forms import FORM_BYTES, read_body
from lifecycle.web.ports import Engine

HOOK_BODIES = 16 * 1024 * KIB  # of all that providers, or strangers, post at once to this process
_LONGEST = 100  # characters of a purpose, a source, a version

_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_TAKEN: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`recorded`; `duplicate`: reported before; `unmatched`: it names no letter of"
        " ours; `ignored`: it is no news of a letter, and `why`. Only `recorded` has an effect.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["status"],
                    "properties": {
                        "status": {"enum": ["recorded", "duplicate", "unmatched", "ignored"]},
                        "rule": {"type": "string", "description": "whose letter it was"},
                        "channel": {"type": "string"},
                        "why": {"type": "string"},
                    },
                }
            }
        },
    },
}
_FIELDS: Mapping[str, str] = {
    "customer_id": "any identifier of hers; she must be known already",
    "purpose": "what she agrees to, as rules of the policy name it",
    "channel": "by which she will be written to, such as `email`",
    "address": "to which you send the link: whoever confirms has it. Only its keyed hash is kept.",
    "source": "where you asked her, such as `checkout`; kept as evidence",
    "text_version": "of the words that she agreed to; kept as evidence",
}
_CONSENT = {
    "type": "object",
    "additionalProperties": False,
    "required": list(_FIELDS),
    "properties": {
        name: {"type": "string", "description": about} for name, about in _FIELDS.items()
    },
    "example": {
        "customer_id": "c1",
        "purpose": "marketing",
        "channel": "email",
        "address": "ann@example.com",
        "source": "checkout",
        "text_version": "2026-01",
    },
}


def router(
    engine: Engine, *, real: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> APIRouter:
    """`real` is the clock that signed timestamps are held against: the engine's own may be made up."""
    routes = APIRouter(tags=["Feedback"])
    inst, feedback = engine.installation, engine.feedback
    bodies = Shares(HOOK_BODIES)

    async def taken(read: Report | Ignored) -> dict[str, Any]:
        if isinstance(read, Ignored):
            return {"status": "ignored", "why": read.why}
        return _told(await run_in_threadpool(take, inst, feedback.secret, read))

    @routes.post(
        "/v1/feedback/mail",
        summary="Hand on a mail that came back",
        responses={**_TAKEN, 413: {"description": "the mail is too large", "content": _PROBLEM}},
        openapi_extra={
            **needs(Scope.FEEDBACK_WRITE),
            "requestBody": {"required": True, "content": {"message/rfc822": {}}},
        },
    )
    async def mail(request: Request) -> dict[str, Any]:
        """A whole mail as it arrived in the mailbox for bounces, posted by the mail server's pipe.

        Delivery reports (RFC 3464) and complaints (RFC 5965) are understood; automatic replies and
        everything else are `ignored`, and answered 200 all the same, so that the pipe is not blocked.
        """
        _require_mail(request)
        return await taken(dsn.read(await read_body(request, dsn.MOST_BYTES)))

    @routes.post(
        "/v1/hooks/{provider}",
        summary="Take a provider's report",
        responses={
            **_TAKEN,
            401: {
                "description": "the signature is wrong, its timestamp too far from now, or the"
                " address lacks the secret of the hook",
                "content": _PROBLEM,
            },
            403: {"description": "it is about a foreign account", "content": _PROBLEM},
            404: {"description": "there is no such provider here", "content": _PROBLEM},
            503: {
                "description": "whether it is the provider's cannot be found out just now, its body came"
                " too slowly, or too many are being read: post it again",
                "content": _PROBLEM,
            },
        },
        openapi_extra=needs(Open.TO_SIGNED),
    )
    async def hook(request: Request, provider: str) -> dict[str, Any]:
        """For the providers that the channels name. No key is asked for: the signature is the authority."""
        found = feedback.hooks.get(provider)
        if found is None:
            raise NotFound(f"no provider {shown(provider)} is set up here")
        url = _told_url(feedback, request)
        found.refuse_stranger(url)
        with holding(bodies, provider, _too_much_in_hand) as hold:
            posted = Posted(
                url=url,
                headers={name.lower(): value for name, value in request.headers.items()},
                body=await read_body(request, found.most_bytes, hold),
                now=real(),
            )
            read = await run_in_threadpool(found.read, posted)
        return await taken(read)

    @routes.post(
        "/v1/consents",
        summary="Ask for a consent to be confirmed",
        responses={
            200: {
                "description": "nothing is given yet: send her the link",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "properties": {
                                "status": {"const": "pending"},
                                "confirm_url": {"type": "string", "format": "uri"},
                                "expires_at": {"type": "string", "format": "date-time"},
                            },
                        }
                    }
                },
            }
        },
        openapi_extra={
            **needs(Scope.CONSENTS_WRITE),
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _CONSENT}},
            },
        },
    )
    async def consents(request: Request) -> dict[str, Any]:
        """Double opt-in: she has agreed somewhere, and confirms it by a link that you send her.

        Until she does there is no consent. Her click becomes the event `consent_given`, with when and
        where she was asked and which words she read as its evidence. The link holds for 30 days, and
        once.
        """
        wanted = _wanted(await read_json_body(request, _hold_small))
        return await run_in_threadpool(partial(_asked, inst, feedback, wanted))

    return routes


def _told(taken: Taken) -> dict[str, Any]:
    match taken:
        case Recorded(rule=rule, channel=channel):
            return {"status": "recorded", "rule": rule, "channel": channel}
        case KnownAlready():
            return {"status": "duplicate"}
        case Unmatched():
            return {"status": "unmatched"}


def _require_mail(request: Request) -> None:
    given = request.headers.get("content-type", "none")
    if given.partition(";")[0].strip().lower() != "message/rfc822":
        raise Problem(
            "content_type",
            "the Content-Type is not that of a mail",
            status=415,
            got=shown(given),
            expected="Content-Type: message/rfc822",
        )


def _too_much_in_hand(held: int) -> Problem:
    return Problem(
        "overloaded",
        "as many reports to this channel are being read as may be",
        status=503,
        got=f"{held // KIB} KiB in hand already",
        expected="at most as much as is left free for other channels",
        hint="post the same report again when Retry-After says",
        limit="bodies",
        retry_after=1,
    )


def _told_url(feedback: Feedback, request: Request) -> str:
    """As the provider calls it, which its signature covers: a proxy may have changed host and scheme."""
    query = request.url.query
    base = feedback.public_url or str(request.base_url).rstrip("/")
    return f"{base}{request.url.path}" + (f"?{query}" if query else "")


def _hold_small(size: int) -> None:
    if size > FORM_BYTES:
        raise Problem(
            "body_too_large",
            "the body is too large for one consent",
            status=413,
            expected=f"at most {FORM_BYTES} bytes",
        )


def _wanted(body: bytes) -> Wanted:
    said = scan(body)
    if not isinstance(said, dict):
        raise Problem(
            "body_not_object", "the body is no object", status=400, expected="a JSON object"
        )
    for name in said:
        if name not in _FIELDS:
            problem = unlisted("unknown_field", f"there is no field {shown(name)}", name, _FIELDS)
            problem.pointer = f"/{name[:80]}"
            raise problem
    text = {name: _text(name, said.get(name)) for name in _FIELDS}
    return Wanted(customer=text.pop("customer_id"), **text)


def _text(name: str, value: object) -> str:
    try:
        if name == "customer_id":
            return customer_key(value)
        longest = 320 if name == "address" else _LONGEST
        text = identifier(value, code=name, what=name, longest=longest, spaces=True)
    except Problem as problem:
        problem.pointer = f"/{name}"
        raise
    if name in {"purpose", "channel"} and "/" in text:
        raise Problem(
            f"{name}_format", f"{name} has a / in it", pointer=f"/{name}", got=shown(text)
        )
    return text


def _asked(inst: Installation, feedback: Feedback, wanted: Wanted) -> dict[str, Any]:
    if feedback.secret is None or feedback.public_url is None:
        raise Problem(
            "links_not_ready",
            "no link can be made: LIFECYCLE_PUBLIC_URL and LIFECYCLE_SECRET say where and with what",
            status=409,
        )
    measured = {each.consent for each in feedback.measures.values() if each.consent is not None}
    link = wishes.ask(inst, feedback.secret, wanted, measured=measured)
    return {
        "status": "pending",
        "confirm_url": f"{feedback.public_url}/c/{asked_token(feedback.secret, link)}",
        "expires_at": instant_text(link.at + ASKED_FOR),
    }
