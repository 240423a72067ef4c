"""How does a page for customers look? Plain HTML without a script, in her language, by day and by night.

It says who "we" are, where `channels.yaml` names the company.

Nothing is fetched besides the page itself: its one style sheet stands in it, and the content policy
allows that text and no other.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from lifecycle.web.feedback.words import words

_STYLE = (files("lifecycle.web.feedback") / "pages" / "style.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": POLICY, "X-Robots-Tag": "noindex, nofollow"}

_PAGES = Environment(
    loader=PackageLoader("lifecycle.web.feedback", "pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.globals["style"] = Markup(_STYLE)  # noqa: S704 - ours, and no data of anybody


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is answered to a person."""

    name: str  # of the file, without `.html`
    values: dict[str, Any] = field(default_factory=dict)
    language: str | None = None  # hers, if it is known
    status: int = 200
    code: str | None = None  # for the log, of a refusal
    retry_after: int | None = None  # seconds


def rendered(request: Request, page: Page) -> HTMLResponse:
    say = words(page.language, request.headers.get("accept-language", ""))
    company = request.app.state.company
    html = _PAGES.get_template(f"{page.name}.html").render(page.values, say=say, company=company)
    headers = {**_HEADERS, "Content-Language": say.language, "Vary": "Accept-Language"}
    if page.retry_after is not None:
        headers["Retry-After"] = str(page.retry_after)
    if page.code is not None:
        request.state.code = page.code
    return HTMLResponse(html, status_code=page.status, headers=headers)


def invalid(home: str) -> Page:
    """For whatever is wrong with a link: who changes links learns nothing from it."""
    return Page(name="invalid", values={"home": home}, status=400, code="link_invalid")


def busy() -> Page:
    return Page(
        name="said", values={"what": "busy"}, status=503, code="unavailable", retry_after=60
    )
