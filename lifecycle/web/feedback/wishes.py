"""The pages behind the links of a letter: leave, choose, answer, confirm. Looking changes nothing.

Whoever has the link may do what it is for: no login, no cookie, and none of the engine's keys. Link
scanners and previews ask with GET, HEAD and OPTIONS, so only POST acts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from lifecycle.engine import wishes
from lifecycle.engine.budget import Bucket
from lifecycle.engine.feedback import Feedback
from lifecycle.engine.installation import Installation
from lifecycle.engine.wishes import Answer, AnsweredBefore, Preferences, TooOld
from lifecycle.errors import NotFound, Problem, Unavailable
from lifecycle.outreach import tokens
from lifecycle.outreach.tokens import Asked, Membership, Question, Survey
from lifecycle.web.access import Open, needs
from lifecycle.web.feedback.forms import FORM_BYTES, first, form_in, read_body, words_in
from lifecycle.web.feedback.pages import Page, busy, invalid, rendered
from lifecycle.web.feedback.words import LANGUAGES
from lifecycle.web.ports import Engine

MOST_COMMENT = 1000  # characters
BY_HAND_A_SECOND = 1.0  # addresses that strangers may type
BY_HAND_AT_ONCE = 30

SCORES: Mapping[Survey, Sequence[int]] = {
    Survey.CSAT: range(1, 6),
    Survey.NPS: range(11),
    Survey.CHURN: (),
}
REASONS = ("price", "quality", "service", "need", "other_brand", "else")

_HOME = "../u"  # the page for those whose link does not work, from a page one level down
_HOME_BELOW = f"../{_HOME}"
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,253}")
_PHONE = re.compile(r"\+?[0-9][0-9 ().\-/]{4,30}")

_BY_LINK = needs(Open.TO_SIGNED)
Form = Mapping[str, Sequence[str]]


class Desk:
    """Makes pages beside the event loop, and one of its own where one cannot be made."""

    def __init__(self, engine: Engine) -> None:
        self.inst = engine.installation
        self.feedback = engine.feedback
        self._complain = engine.complaints.about

    async def told(
        self, request: Request, page: Callable[[], Page], *, home: str = _HOME
    ) -> Response:
        try:
            made = await run_in_threadpool(page)
        except NotFound:  # she was taken out of the database since
            made = invalid(home)
        except Unavailable as error:
            self._complain("page_unanswered", "answering a customer's page", error)
            made = busy()
        return rendered(request, made)


def router(engine: Engine) -> APIRouter:
    routes, desk = APIRouter(include_in_schema=False), Desk(engine)
    _add_leaving(routes, desk)
    _add_by_hand(routes, desk)
    _add_choosing(routes, desk)
    _add_answering(routes, desk)
    _add_confirming(routes, desk)
    return routes


def _add_leaving(routes: APIRouter, desk: Desk) -> None:
    inst, feedback = desk.inst, desk.feedback

    @routes.get("/u/{token}", openapi_extra=_BY_LINK)
    async def ask_to_leave(request: Request, token: str) -> Response:
        return await desk.told(request, partial(_membership_page, inst, feedback, token))

    @routes.post("/u/{token}", openapi_extra=_BY_LINK)
    async def unsubscribe(request: Request, token: str) -> Response:
        """By the button of the page, or by a mailbox's own (RFC 8058), whatever form that has."""
        body = await read_body(request, FORM_BYTES)
        how = "one-click" if b"One-Click" in body else "page"
        return await desk.told(request, partial(_unsubscribe, inst, feedback, token, how))


def _add_by_hand(routes: APIRouter, desk: Desk) -> None:
    typed = Bucket(BY_HAND_A_SECOND, BY_HAND_AT_ONCE)

    @routes.get("/u", openapi_extra=_BY_LINK)
    async def leave(request: Request) -> Response:
        return rendered(request, _by_hand())

    @routes.post("/u", openapi_extra=_BY_LINK)
    async def leave_by_hand(request: Request) -> Response:
        address = first(form_in(await read_body(request, FORM_BYTES)), "address").strip()
        if typed.wait() > 0:
            return rendered(request, Page(name="said", values={"what": "busy"}, status=429))
        typed.take(1)
        work = partial(_leave_by_hand, desk.inst, desk.feedback, address)
        return await desk.told(request, work)


def _add_choosing(routes: APIRouter, desk: Desk) -> None:
    inst, feedback = desk.inst, desk.feedback

    @routes.get("/u/{token}/preferences", openapi_extra=_BY_LINK)
    async def show_preferences(request: Request, token: str) -> Response:
        work = partial(_preferences, inst, feedback, token, None)
        return await desk.told(request, work, home=_HOME_BELOW)

    @routes.post("/u/{token}/preferences", openapi_extra=_BY_LINK)
    async def set_preferences(request: Request, token: str) -> Response:
        form = form_in(await read_body(request, FORM_BYTES))
        work = partial(_preferences, inst, feedback, token, form)
        return await desk.told(request, work, home=_HOME_BELOW)


def _add_answering(routes: APIRouter, desk: Desk) -> None:
    inst, feedback = desk.inst, desk.feedback

    @routes.get("/s/{token}", openapi_extra=_BY_LINK)
    async def show_survey(request: Request, token: str) -> Response:
        return await desk.told(request, partial(_survey, inst, feedback, token, None))

    @routes.post("/s/{token}", openapi_extra=_BY_LINK)
    async def answer_survey(request: Request, token: str) -> Response:
        form = form_in(await read_body(request, FORM_BYTES))
        return await desk.told(request, partial(_survey, inst, feedback, token, form))


def _add_confirming(routes: APIRouter, desk: Desk) -> None:
    inst, feedback = desk.inst, desk.feedback

    @routes.get("/c/{token}", openapi_extra=_BY_LINK)
    async def ask_to_confirm(request: Request, token: str) -> Response:
        work = partial(_confirm, inst, feedback, token, sure=False)
        return await desk.told(request, work)

    @routes.post("/c/{token}", openapi_extra=_BY_LINK)
    async def confirm(request: Request, token: str) -> Response:
        await read_body(request, FORM_BYTES)
        return await desk.told(request, partial(_confirm, inst, feedback, token, sure=True))


# -- leaving ------------------------------------------------------------------------------------


def _membership_page(
    inst: Installation, feedback: Feedback, token: str, *, done: bool = False
) -> Page:
    link = tokens.membership_in(feedback.secret, token)
    if link is None:
        return invalid(_HOME)
    return Page(
        name="unsubscribe",
        values={"done": done, "token": token, "purpose": link.purpose, "channel": link.channel},
        language=wishes.language_of(inst, link.customer),
    )


def _unsubscribe(inst: Installation, feedback: Feedback, token: str, how: str) -> Page:
    link = tokens.membership_in(feedback.secret, token)
    if link is None:
        return invalid(_HOME)
    evidence = f"unsubscribed by the link of letter {link.letter} ({how})"
    wishes.unsubscribe(inst, feedback.secret, link, tokens.name_of(token), evidence)
    return _membership_page(inst, feedback, token, done=True)


def _by_hand(wrong: str | None = None, *, status: int = 200) -> Page:
    return Page(name="leave", values={"home": "u", "wrong": wrong}, status=status)


def _leave_by_hand(inst: Installation, feedback: Feedback, address: str) -> Page:
    if _EMAIL.fullmatch(address):
        channel = "email"
    elif _PHONE.fullmatch(address):
        channel = "sms"
    else:
        return _by_hand("address_wrong", status=422)
    if feedback.secret is None:  # nobody could be recognised by what is kept
        return busy()
    wishes.leave_by_hand(inst, feedback.secret, channel, address)
    return Page(name="said", values={"what": "by_hand_done"})


# -- choosing -----------------------------------------------------------------------------------


def _preferences(inst: Installation, feedback: Feedback, token: str, form: Form | None) -> Page:
    link = tokens.membership_in(feedback.secret, token)
    if link is None:
        return invalid(_HOME_BELOW)
    if form is None:
        return _preferences_page(wishes.preferences(inst, link), saved=False)
    return _preferences_page(_preferred(inst, link, token, form), saved=True)


def _preferred(inst: Installation, link: Membership, token: str, form: Form) -> Preferences:
    language = first(form, "language")
    return wishes.prefer(
        inst,
        link,
        tokens.name_of(token),
        form.get("wanted", ()),
        language if language in LANGUAGES else None,
    )


def _preferences_page(found: Preferences, *, saved: bool) -> Page:
    return Page(
        name="preferences",
        values={
            "saved": saved,
            "choices": found.choices,
            "may_choose_language": found.may_choose_language,
            "languages": LANGUAGES,
            "chosen": (found.language or "").lower().partition("-")[0],
        },
        language=found.language,
    )


# -- answering ----------------------------------------------------------------------------------


def _survey(inst: Installation, feedback: Feedback, token: str, form: Form | None) -> Page:
    link = tokens.question_in(feedback.secret, token)
    if link is None:
        return invalid(_HOME)
    language = wishes.language_of(inst, link.customer)
    name = tokens.name_of(token)
    if form is not None:
        return _answered(inst, link, name, form, language)
    if wishes.is_answered(inst, name):
        return Page(name="thanks", values={"before": True}, language=language)
    return _survey_page(link, language)


def _answered(
    inst: Installation, link: Question, name: str, form: Form, language: str | None
) -> Page:
    read = _answer(link.survey, form)
    if isinstance(read, str):
        return _survey_page(link, language, form, wrong=read)
    try:
        outcome = wishes.answer(inst, link, name, read)
    except Problem:  # its words cannot be stored, whatever they are
        return _survey_page(link, language, form, wrong="answer_missing")
    before = isinstance(outcome, AnsweredBefore)
    return Page(name="thanks", values={"before": before}, language=language)


def _answer(survey: Survey, form: Form) -> Answer | str:
    """What was answered; or the name of what to say about it."""
    comment = words_in(first(form, "comment"))
    if len(comment) > MOST_COMMENT:
        return "comment_long"
    if survey is Survey.CHURN:
        reason = first(form, "reason")
        if reason not in REASONS:
            return "answer_missing"
        return Answer(reason=reason, comment=comment or None)
    score = {str(each): each for each in SCORES[survey]}.get(first(form, "score"))
    return "answer_missing" if score is None else Answer(score=score, comment=comment or None)


def _survey_page(
    link: Question, language: str | None, form: Form | None = None, *, wrong: str | None = None
) -> Page:
    given = {name: first(form or {}, name) for name in ("score", "reason", "comment")}
    return Page(
        name="survey",
        values={
            "survey": link.survey.value,
            "scores": list(SCORES[link.survey]),
            "reasons": REASONS,
            "most": MOST_COMMENT,
            "given": given,
            "wrong": wrong,
        },
        language=language,
        status=422 if wrong else 200,
    )


# -- confirming ---------------------------------------------------------------------------------


def _confirm(inst: Installation, feedback: Feedback, token: str, *, sure: bool) -> Page:
    link = tokens.asked_in(feedback.secret, token)
    if link is None:
        return invalid(_HOME)
    language = wishes.language_of(inst, link.customer)
    if not sure:
        old = wishes.is_too_old(inst, link)
    else:
        old = isinstance(wishes.confirm(inst, link, tokens.name_of(token)), TooOld)
    return _too_old(language) if old else _confirm_page(link, language, done=sure)


def _confirm_page(link: Asked, language: str | None, *, done: bool) -> Page:
    values = {"done": done, "purpose": link.purpose, "channel": link.channel}
    return Page(name="confirm", values=values, language=language)


def _too_old(language: str | None) -> Page:
    values = {"what": "too_old"}
    return Page(name="said", values=values, language=language, status=400, code="link_too_old")
