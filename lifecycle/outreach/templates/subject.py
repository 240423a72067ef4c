"""May this text be the subject of an e-mail? Looked at after it was filled in, whatever filled it."""

from __future__ import annotations

import re

MOST_CHARACTERS = 200

_ENCODED_WORD = re.compile(r"=\?[^?\s]*\?[bBqQ]\?")
_BREAK = re.compile("[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def problem_of(subject: str) -> tuple[str, str] | None:
    """A stable code and what is wrong in words that quote nothing; None: it is fine."""
    if _BREAK.search(subject):
        return "subject_line_break", "the subject has more than one line"
    if _CONTROL.search(subject):
        return "subject_control_character", "the subject has a character that nobody sees"
    if _ENCODED_WORD.search(subject):
        return "encoded_word_in_subject", "the subject has =?…?=, which mail programs would decode"
    if not subject.strip():
        return "subject_empty", "the subject has no words"
    if len(subject) > MOST_CHARACTERS:
        return (
            "subject_too_long",
            f"the subject has {len(subject)} characters; allowed: {MOST_CHARACTERS}",
        )
    return None
