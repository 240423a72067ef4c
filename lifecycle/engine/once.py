"""Was this request answered before, under the key that its sender gave it? Then it gets that answer again.

The answer is kept in the transaction of the events that it answers for, so there is never one without
the other. Nothing is kept of a request that was refused: mended, it may come under the same key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

from lifecycle.engine.accept import Result, accept_within
from lifecycle.engine.installation import Installation
from lifecycle.errors import Problem
from lifecycle.intake.draft import Draft
from lifecycle.store import idempotency
from lifecycle.store.idempotency import Answer, Name
from lifecycle.store.sql import Tx

__all__ = ["KEPT_FOR", "Answer", "Keyed", "Name", "Outcome", "Post", "accept_posts", "answered"]

KEPT_FOR = timedelta(hours=24)  # of real time, whatever the engine's clock says


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """What a post is recognised by, and what will be answered to it again."""

    name: Name
    request_sha256: str  # of the body, in hexadecimal digits
    answer: Callable[[Sequence[Result]], Answer | None]
    """What is to be kept; None keeps nothing. It is called within the transaction: it decides only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    drafts: Sequence[Draft]
    keyed: Keyed | None = None  # None: its sender gave it no key


Outcome = list[Result] | Answer | Problem
"""One result a draft; or what was answered before, and nothing is stored; or why neither is possible."""


def answered(inst: Installation, name: Name, request_sha256: str) -> Answer | None:
    """The answer that is kept, if one is; raises Problem where it was given to another body."""
    with inst.db.read() as tx:
        kept = idempotency.find(tx, [name], inst.db.clock(tx)).get(name)
    if kept is not None and kept.request_sha256 != request_sha256:
        raise _mismatch(name)
    return kept


def accept_posts(inst: Installation, posts: Sequence[Post]) -> list[Outcome]:
    """One outcome a post, in their order; all of it in one transaction, durable on return.

    Run twice, the second time finds the answers of the first.
    """
    return inst.db.run(lambda tx: _accept_within(inst, tx, posts))


def _accept_within(inst: Installation, tx: Tx, posts: Sequence[Post]) -> list[Outcome]:
    outcomes = _known(inst, tx, posts)
    new = [(index, post) for index, post in enumerate(posts) if index not in outcomes]
    drafts = [draft for _, post in new for draft in post.drafts]
    results = iter(accept_within(inst, tx, drafts) if drafts else ())
    kept: dict[Name, Answer] = {}
    for index, post in new:
        outcomes[index] = mine = list(islice(results, len(post.drafts)))
        if post.keyed is not None and (answer := post.keyed.answer(mine)) is not None:
            kept[post.keyed.name] = answer
    idempotency.keep(tx, kept, inst.db.clock(tx) + KEPT_FOR)
    return [outcomes[index] for index in range(len(posts))]


def _known(inst: Installation, tx: Tx, posts: Sequence[Post]) -> dict[int, Outcome]:
    """By index, those posts that must not be stored; the names of the others are ours until the end."""
    first: dict[Name, int] = {}
    for index, post in enumerate(posts):
        if post.keyed is not None:
            first.setdefault(post.keyed.name, index)
    ours = idempotency.lock(tx, first)
    kept = idempotency.find(tx, ours, inst.db.clock(tx))
    outcomes: dict[int, Outcome] = {}
    for index, post in enumerate(posts):
        if (keyed := post.keyed) is None:
            continue
        if (answer := kept.get(keyed.name)) is not None:
            same = answer.request_sha256 == keyed.request_sha256
            outcomes[index] = answer if same else _mismatch(keyed.name)
        elif keyed.name not in ours or first[keyed.name] != index:
            outcomes[index] = in_progress(keyed.name)
    return outcomes


def in_progress(name: Name) -> Problem:
    return Problem(
        "in_progress",
        "a request with this Idempotency-Key is being answered just now",
        status=409,
        pointer="Idempotency-Key",
        got=name.key,
        expected="one request at a time under a key",
        hint="send the same request again when Retry-After says; it gets the answer of the first",
        retry_after=1,
    )


def _mismatch(name: Name) -> Problem:
    return Problem(
        "idempotency_mismatch",
        "this Idempotency-Key was used for another body, and its answer is kept still",
        pointer="Idempotency-Key",
        got=name.key,
        expected="the same body to the byte, or another key",
        hint=f"an answer is kept for {KEPT_FOR.total_seconds() / 3600:g} hours",
    )
