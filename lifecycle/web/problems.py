"""How is a refusal told over HTTP? As an RFC 9457 problem document, whatever refused.

The words come from whoever refused; here are only their form, and the list of codes with their
titles, which is part of the published interface.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from lifecycle.errors import (
    UNCHANGED,
    LifecycleError,
    NotFound,
    NotReady,
    Overloaded,
    Problem,
    Unavailable,
)

LARGEST_PAGE = 500
RETRY_SECONDS = 1  # what a client is told to wait when the answer may be another one soon

TITLES: Mapping[str, str] = {
    # the request
    "http_invalid": "Not a valid HTTP request",
    "host_not_allowed": "The request names another host",
    "key_unknown": "No valid key was shown",
    "scope_missing": "The key may not do this",
    "not_found": "There is nothing here",
    "method_not_allowed": "Another method is needed here",
    "content_type": "The body is not JSON by its Content-Type",
    "content_encoding": "The body is compressed in a way that is not understood",
    "body_too_large": "The body is too large after decompression",
    "body_too_slow": "The body did not come in time",
    "limit_exceeded": "Something is larger than allowed",
    "invalid_parameter": "A parameter is not what it should be",
    "limit_range": "The page size is out of range",
    "cursor_invalid": "The cursor does not belong to this listing",
    "field_not_filterable": "This listing has no such filter",
    "unknown_state": "The policy has no such state",
    "unknown_rule": "The policy has no such rule",
    "unknown_purpose": "The policy has no such purpose",
    "idempotency_key_format": "The Idempotency-Key cannot be used",
    "idempotency_mismatch": "The Idempotency-Key was used for another request",
    "in_progress": "The same request is being answered just now",
    "rate_limited": "The key asks for more than it may",
    "overloaded": "More came than can be taken in just now",
    # the body
    "not_utf8": "The body is not UTF-8",
    "json_syntax": "The body is not JSON",
    "duplicate_key": "A key is there twice",
    "body_not_object": "The body is not an object",
    "events_required": "There are no events",
    "event_not_object": "An event is not an object",
    "unknown_field": "There is no such field",
    "forbidden_character": "A character is not allowed",
    "events_refused": "No event was taken",
    # identifiers
    "event_id_required": "The event has no id",
    "event_id_format": "The id cannot be used",
    "event_id_conflict": "The id was used before for another event",
    "customer_key_required": "The event names no customer",
    "customer_key_format": "The customer's identifier cannot be used",
    "customer_key_conflict": "The event names two customers",
    "source_required": "The source is empty",
    "source_format": "The source cannot be used",
    "event_type_required": "The event has no type",
    "event_type_format": "The type cannot be used",
    "unknown_event_type": "The policy has no such event",
    "reserved_type": "The name is reserved",
    # consents
    "purpose_required": "No purpose is named",
    "purpose_format": "The purpose cannot be used",
    "channel_required": "No channel is named",
    "channel_format": "The channel cannot be used",
    "address_required": "No address is named",
    "address_format": "The address cannot be used",
    "text_version_required": "No version of the words is named",
    "text_version_format": "The version of the words cannot be used",
    "links_not_ready": "No link can be made here yet",
    # reports
    "hook_secret_wrong": "The address lacks the secret of this hook",
    "signature_invalid": "The signature is not this provider's",
    "timestamp_outside_tolerance": "The signed timestamp is too far from now",
    "account_foreign": "The report is about a foreign account",
    "report_not_understood": "The report cannot be read",
    "certificate_refused": "The certificate is not this provider's, or not for now",
    "provider_unreachable": "Whether it is this provider's cannot be found out just now",
    "subscription_refused": "The provider does not take the confirmation that it asked for",
    # time
    "timestamp_needs_offset": "The time has no offset from UTC",
    "timestamp_invalid": "There is no such instant",
    "timestamp_implausible": "The time is implausible",
    "timestamp_in_future": "The time lies in the future",
    "too_late": "The event came later than the policy allows",
    # values
    "property_required": "A property is missing",
    "expected_object": "An object is needed",
    "expected_text": "Text is needed",
    "expected_boolean": "True or false is needed",
    "expected_integer": "A whole number is needed",
    "number_format": "Not a number",
    "number_not_finite": "The number is not finite",
    "number_too_large": "The number is too large",
    "amount_format": "Not an amount of money",
    "too_many_decimals": "The currency has fewer decimals",
    "currency_unknown": "The currency is not known here",
    "date_invalid": "There is no such date",
    "zone_unknown": "There is no such time zone",
    # the engine
    "not_ready": "The answer would not be right yet",
    "unavailable": "A service that is needed does not answer",
    "overdue": "Events wait too long to be applied",
    "unready": "This process should be sent no requests now",
    "internal_error": "Something unexpected went wrong",
}


def body_of(problem: Problem, *, asked_to_change: bool = True) -> dict[str, Any]:
    """What is wrong, and that nothing was changed where something could have been.

    After a failure of our own nobody can promise that: a commit whose answer was lost may have
    happened.
    """
    members = members_of(problem)
    if asked_to_change and problem.status < 500:
        members["detail"] = f"{problem.detail}; {UNCHANGED}"
    return members


def members_of(problem: Problem) -> dict[str, Any]:
    """The members of a problem document that say what is wrong; those without a value are left out."""
    members = {
        "code": problem.code,
        "detail": problem.detail,
        "pointer": problem.pointer,
        "got": problem.got,
        "expected": problem.expected,
        "hint": problem.hint,
        "limit": problem.limit,
    }
    return {name: value for name, value in members.items() if value}


def document(
    problem: Problem,
    request_id: str,
    more: Mapping[str, Any] = {},
    *,
    asked_to_change: bool = True,
) -> bytes:
    """A whole problem document; `more` are members of its own."""
    return orjson.dumps(
        {
            "type": f"/docs#problem-{problem.code}",
            "title": TITLES.get(problem.code, problem.code),
            "status": problem.status,
            **body_of(problem, asked_to_change=asked_to_change),
            "request_id": request_id,
            **more,
        }
    )


Complain = Callable[[str, str, BaseException], object]
"""Names the line of the log, and what failed; tells the same thing once a minute."""

Handler = Callable[[Request, Exception], Coroutine[Any, Any, Response]]

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


def response(
    problem: Problem,
    request: Request,
    more: Mapping[str, Any] = {},
    headers: Mapping[str, str] | None = None,
) -> Response:
    request.state.code = problem.code  # for the log
    given = dict(headers or {})
    if problem.status == 503 or problem.retry_after is not None:
        given["Retry-After"] = str(problem.retry_after or RETRY_SECONDS)
    if problem.status == 413 or problem.code == "body_too_slow":
        given["Connection"] = "close"  # the rest of the body is not wanted
    asked_to_change = request.method not in _READING
    return Response(
        document(problem, request_id_of(request), more, asked_to_change=asked_to_change),
        status_code=problem.status,
        headers=given,
        media_type="application/problem+json",
    )


def request_id_of(request: Request) -> str:
    found: str = request.state.request_id
    return found


def problem_of(error: LifecycleError) -> Problem:
    """What an error of the engine is over HTTP."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, NotFound):
        return Problem("not_found", str(error), status=404)
    if isinstance(error, NotReady):
        return Problem("not_ready", str(error), status=503)
    if isinstance(error, Overloaded):
        return Problem(
            "overloaded",
            str(error),
            status=503,
            hint="post the same events again when Retry-After says",
            limit=error.limit,
            retry_after=error.retry_after,
        )
    if isinstance(error, Unavailable):
        return Problem("unavailable", error.public, status=503)
    return internal_error()


def internal_error() -> Problem:
    """Says nothing of the inside."""
    return Problem(
        "internal_error",
        "the engine failed in a way that nobody foresaw; its log has more under this request_id",
        status=500,
        hint="post the same events again: what was stored already is recognised by its id",
    )


# -- handlers, by what was raised ---------------------------------------------------------------


def on_lifecycle_error(complain: Complain) -> Handler:
    """`complain` hears of what is no fault of the request, as its answer does not say why."""

    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, LifecycleError)
        problem = problem_of(error)
        if problem.code in {"unavailable", "internal_error"}:
            complain("request_unanswered", "answering a request", error)
        return response(problem, request)

    return answer


async def on_http_error(request: Request, error: Exception) -> Response:
    """What the router refuses: no such path, or no such method at this path."""
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        allowed = headers.get("Allow", "")
        problem = Problem(
            "method_not_allowed",
            f"{request.method} is not possible here",
            status=405,
            got=request.method[:20],
            expected=allowed,
        )
    elif error.status_code == 404:
        problem = Problem(
            "not_found", "there is nothing at this path", status=404, hint="see /docs"
        )
    else:
        problem = Problem("http_invalid", str(error.detail), status=error.status_code)
    return response(problem, request, headers=headers)


async def on_invalid_parameter(request: Request, error: Exception) -> Response:
    """What the framework found wrong with a parameter, in our words."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    got = str(first.get("input"))[:80]
    if name == "limit":
        problem = Problem(
            "limit_range",
            f"the size of a page is not one of limit 1..{LARGEST_PAGE}",
            pointer=name,
            got=got,
            expected=f"limit 1..{LARGEST_PAGE}",
        )
    elif name == "cursor":
        problem = Problem(
            "cursor_invalid",
            "this is no cursor",
            pointer=name,
            got=got,
            expected="the `cursor` of an earlier answer",
        )
    else:
        problem = Problem(
            "invalid_parameter",
            f"the parameter {name} is not allowed as it is: {first['msg']}",
            pointer=name,
            got=got,
        )
    return response(problem, request)
