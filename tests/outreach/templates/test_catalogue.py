"""The template of a message is found in its folder, whatever else lies there and however it is edited."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifecycle.engine.sending import desk
from lifecycle.errors import Finding
from lifecycle.outreach.templates.catalogue import Catalogue, Template
from lifecycle.outreach.templates.names import Supplied, Variables
from tests.support.logs import heard


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _found(template: Template | None) -> str:
    assert template is not None
    return template.path


FOLDER = {
    "m/sms.en.txt": "own en",
    "m/sms.zh.txt": "own zh",
    "m/coupon/sms.en.txt": "coupon en",
    "m/2/sms.en.txt": "second en",
    "m/2/sms.pt-BR.txt": "second pt-BR",
    "m/2/sms.pt.txt": "second pt",
    "m/2/coupon/sms.en.txt": "second coupon en",
    "only/sms.zh.txt": "zh",
    "other/sms.de.txt": "de",
}


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        (("m", 1, None, "sms", ["en"]), "m/sms.en.txt"),
        (("m", 1, "coupon", "sms", ["en"]), "m/coupon/sms.en.txt"),
        (("m", 2, None, "sms", ["en"]), "m/2/sms.en.txt"),
        (("m", 2, "coupon", "sms", ["en"]), "m/2/coupon/sms.en.txt"),
        (("m", 2, "plain", "sms", ["en"]), "m/2/sms.en.txt"),
        (("m", None, None, "sms", ["zh-Hans-CN"]), "m/sms.zh.txt"),
        (("m", None, None, "sms", ["fr", "zh"]), "m/sms.zh.txt"),
        (("m", None, None, "sms", ["fr"]), "m/sms.en.txt"),
        (("m", None, None, "sms", []), "m/sms.en.txt"),
        (("m", 2, None, "sms", ["pt-br"]), "m/2/sms.pt-BR.txt"),
        (("m", 2, None, "sms", ["pt_BR"]), "m/2/sms.pt-BR.txt"),
        (("m", 2, None, "sms", ["pt-PT"]), "m/2/sms.pt.txt"),
        (("only", 1, None, "sms", ["fr"]), "only/sms.zh.txt"),
        (("other", 1, None, "sms", ["fr"]), "other/sms.de.txt"),
    ],
)
def test_the_most_specific_folder_wins_then_the_nearest_language(
    tmp_path: Path, wanted: tuple[str, int | None, str | None, str, list[str]], path: str
) -> None:
    _write(tmp_path, FOLDER)
    assert _found(Catalogue(tmp_path).find(*wanted)) == path


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    _write(tmp_path, FOLDER)
    catalogue = Catalogue(tmp_path)
    assert catalogue.find("m", 1, None, "email", ["en"]) is None
    assert catalogue.find("nobody", 1, None, "sms", ["en"]) is None
    assert catalogue.channels_of("m", 2, "coupon") == {"sms"}
    assert catalogue.channels_of("nobody") == frozenset()
    assert catalogue.languages_of("m", 2, None, "sms") == {"en", "pt", "pt-BR"}


def test_an_edit_counts_without_a_restart(tmp_path: Path) -> None:
    _write(tmp_path, {"m/sms.en.txt": "before"})
    catalogue = Catalogue(tmp_path, look_every=0)
    before = catalogue.find("m", 1, None, "sms", ["en"])

    _write(tmp_path, {"m/sms.en.txt": "afterwards", "m/sms.zh.txt": "new"})

    after = catalogue.find("m", 1, None, "sms", ["en"])
    assert before
    assert after
    assert (before.body.text, after.body.text) == ("before", "afterwards")
    assert before.hash != after.hash
    assert _found(catalogue.find("m", 1, None, "sms", ["zh"])) == "m/sms.zh.txt"
    (tmp_path / "m" / "sms.zh.txt").unlink()
    assert _found(catalogue.find("m", 1, None, "sms", ["zh"])) == "m/sms.en.txt"


def test_the_folder_is_not_looked_at_again_at_once(tmp_path: Path) -> None:
    _write(tmp_path, {"m/sms.en.txt": "before"})
    catalogue = Catalogue(tmp_path, look_every=3600)
    assert catalogue.find("m", 1, None, "sms", ["en"])
    _write(tmp_path, {"m/sms.zh.txt": "new"})
    assert _found(catalogue.find("m", 1, None, "sms", ["zh"])) == "m/sms.en.txt"


def test_a_broken_file_never_replaces_the_last_good_one_and_is_told_once(tmp_path: Path) -> None:
    """Good, broken, still broken, good again: sent is always the newest good one."""
    told: list[Finding] = []
    _write(tmp_path, {"m/sms.en.txt": "good {{ customer.name }}"})
    catalogue = Catalogue(tmp_path, on_broken=told.append, look_every=0)
    good = catalogue.find("m", 1, None, "sms", ["en"])
    assert told == []

    _write(tmp_path, {"m/sms.en.txt": "bad {{ customer.name "})
    assert catalogue.find("m", 1, None, "sms", ["en"]) == good
    assert catalogue.find("m", 1, None, "sms", ["en"]) == good
    assert [(each.file, each.line, each.code) for each in told] == [
        ("m/sms.en.txt", 1, "syntax_error")
    ]
    assert catalogue.broken() == told

    _write(tmp_path, {"m/sms.en.txt": "better"})
    better = catalogue.find("m", 1, None, "sms", ["en"])
    assert better
    assert better.body.text == "better"
    assert catalogue.broken() == []


def test_a_broken_layout_leaves_the_mails_as_they_were(tmp_path: Path) -> None:
    mail = "---\nsubject: Hi\n---\n<mj-section></mj-section>"
    layout = "<mjml><mj-body>{{ body }}</mj-body></mjml>"
    _write(tmp_path, {"m/email.en.mjml": mail, "_layouts/brand.mjml": layout})
    catalogue = Catalogue(tmp_path, look_every=0)
    good = catalogue.find("m", 1, None, "email", ["en"])

    _write(tmp_path, {"_layouts/brand.mjml": layout + "{{ body.__class__ }}"})
    assert catalogue.find("m", 1, None, "email", ["en"]) == good
    assert [each.file for each in catalogue.broken()] == ["_layouts/brand.mjml"]

    _write(tmp_path, {"_layouts/brand.mjml": layout.replace("body>", "body >")})
    changed = catalogue.find("m", 1, None, "email", ["en"])
    assert good
    assert changed
    assert changed.hash != good.hash  # the hash covers the layout


def test_a_layout_and_a_partial_of_her_language_win(tmp_path: Path) -> None:
    mail = "---\nsubject: Hi\n---\n{% include 'foot' %}"
    _write(
        tmp_path,
        {
            "m/email.en.mjml": mail,
            "m/email.zh.mjml": mail,
            "_layouts/brand.mjml": "<mjml>{{ body }}</mjml>",
            "_layouts/brand.zh.mjml": "<mjml><!-- zh -->{{ body }}</mjml>",
            "_partials/foot.mjml": "foot",
            "_partials/foot.zh.mjml": "脚",
        },
    )
    catalogue = Catalogue(tmp_path)
    english = catalogue.find("m", 1, None, "email", ["en"])
    chinese = catalogue.find("m", 1, None, "email", ["zh"])
    assert english
    assert chinese
    assert english.layout
    assert chinese.layout
    assert (english.layout.file, english.partials["foot"].text) == ("_layouts/brand.mjml", "foot")
    assert (chinese.layout.file, chinese.partials["foot"].text) == ("_layouts/brand.zh.mjml", "脚")


def test_all_problems_of_a_file_are_told_at_once_with_their_places(tmp_path: Path) -> None:
    text = """---
subject: 'Hi {{ custmer.name }}'
sbject: x
layout: brnd
---
{{ customer.name | attr('x') }}
{% include "fot" %}{{ message.stp }}
"""
    _write(
        tmp_path,
        {
            "m/email.en.mjml": text,
            "_layouts/brand.mjml": "{{ body }}",
            "_partials/foot.mjml": "x",
        },
    )
    told = [str(each) for each in Catalogue(tmp_path).broken()]
    assert len(told) == 6
    assert told[0].startswith("m/email.en.mjml:2:17: error unknown_variable: custmer: ")
    assert told[0].endswith("did you mean customer.name?")
    assert told[1].startswith("m/email.en.mjml:3:1: error unknown_key: front matter: ")
    assert told[2].startswith('m/email.en.mjml:4:9: error no_layout: layout: found "brnd"')
    assert told[2].endswith('allowed: brand; did you mean "brand"?')
    assert (
        "m/email.en.mjml:6:20: error not_allowed: not allowed in templates: the filter attr"
        in told[3]
    )
    assert told[4].startswith('m/email.en.mjml:7:13: error no_partial: partial: found "fot"')
    assert told[5].startswith("m/email.en.mjml:7:23: error unknown_variable: message.stp")


@pytest.mark.parametrize(
    ("path", "content", "code"),
    [
        ("m/sms.txt", b"x", "bad_name"),
        ("sms.en.txt", b"x", "bad_name"),
        ("m/0/sms.en.txt", b"x", "bad_name"),
        ("m/a/b/c/sms.en.txt", b"x", "bad_name"),
        ("M M/sms.en.txt", b"x", "bad_name"),
        ("m/sms.en.html", b"x", "bad_name"),
        ("m/sms.en.txt", b"\xff\xfe", "not_utf8"),
        ("m/sms.en.txt", b"x" * 70_000, "file_too_large"),
        ("m/sms.en.txt", b"---\nsubject: x\n", "front_matter_open"),
        ("m/sms.en.txt", b"---\nsubject: {{ x }}\n---\nx", "wrong_value"),
        ("m/sms.en.txt", b"---\n- x\n---\nx", "wrong_value"),
        ("m/sms.en.txt", b"---\na: [\n---\nx", "not_yaml"),
        ("m/sms.en.txt", b" \n", "empty_text"),
        ("m/email.en.mjml", b"x", "no_subject"),
    ],
)
def test_a_file_that_is_no_template_is_told_and_stops_nobody(
    tmp_path: Path, path: str, content: bytes, code: str
) -> None:
    _write(tmp_path, {"good/sms.en.txt": "x", "_layouts/brand.mjml": "{{ body }}"})
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_bytes(content)
    catalogue = Catalogue(tmp_path)
    assert code in {each.code for each in catalogue.broken()}
    assert catalogue.find("good", 1, None, "sms", ["en"])


def test_an_empty_or_missing_folder_has_no_templates(tmp_path: Path) -> None:
    assert Catalogue(tmp_path).all() == ()
    assert Catalogue(tmp_path / "gone").all() == ()


class Policies:
    """What messages may name, under one policy after the other."""

    def __init__(self) -> None:
        self.number = 1
        self.attributes = {"first_name", "tier"}

    def version(self) -> int:
        return self.number

    def of(self, message: str) -> Variables | None:
        fields = {name: Supplied(sure=False) for name in self.attributes}
        return {"customer": Supplied(fields=fields)}


def test_a_name_that_the_policy_does_not_have_never_replaces_the_last_good_text(
    tmp_path: Path,
) -> None:
    """Until a policy that has it is in force: then the file that names it is right."""
    told: list[Finding] = []
    policies = Policies()
    _write(tmp_path, {"m/sms.en.txt": "Hi {{ customer.first_name }}"})
    catalogue = Catalogue(tmp_path, on_broken=told.append, look_every=0, names=policies)
    good = catalogue.find("m", 1, None, "sms", ["en"])
    _write(tmp_path, {"m/sms.en.txt": "Hi {{ customer.nick_name }}"})
    assert catalogue.find("m", 1, None, "sms", ["en"]) == good
    assert [finding.code for finding in told] == ["unknown_variable"]
    policies.number, policies.attributes = 2, {"nick_name"}
    found = catalogue.find("m", 1, None, "sms", ["en"])
    assert found is not None
    assert found.hash != (good.hash if good else None)
    assert catalogue.broken() == []


@pytest.mark.parametrize(
    ("text", "event", "code"),
    [
        ("bad {{ customer.name ", "template_broken", "syntax_error"),
        ("{{ ''.__class__ }}", "template_refused", "not_allowed"),
        ("{{ cycler.__init__ }}", "template_refused", "not_allowed"),
    ],
)
def test_what_no_template_may_ask_for_is_told_under_a_name_of_its_own(
    tmp_path: Path, text: str, event: str, code: str
) -> None:
    """Row 50: whoever watches over the log finds it without reading what is merely misspelt."""
    _write(tmp_path, {"m/sms.en.txt": text})
    with heard() as log:
        Catalogue(tmp_path, on_broken=desk._tell_of_broken, look_every=0).all()
    lines = log.of("template_broken", "template_refused")
    told = {(line["event"], line["code"]) for line in lines}
    assert told - {("template_broken", "unknown_variable")} == {(event, code)}
    assert all(str(line["what"]).startswith("m/sms.en.txt:1:") for line in lines)


def test_who_has_never_seen_it_right_has_no_text_instead_of_another_language(
    tmp_path: Path,
) -> None:
    """As after a restart, amid an edit: her text is wrong, so nobody writes to her in Chinese."""
    _write(
        tmp_path,
        {
            "m/sms.en.txt": "general",
            "m/2/sms.en.txt": "bad {{ customer.name ",
            "m/2/sms.zh.txt": "你好",
            "m/2/sms.pt-BR.txt": "bad {{ customer.name ",
        },
    )
    catalogue = Catalogue(tmp_path, look_every=0)
    for hers in ("en", "en-GB", "fr", "pt-br"):  # fr: written to in English at last
        assert catalogue.find("m", 2, None, "sms", [hers]) is None
    assert _found(catalogue.find("m", 2, None, "sms", ["zh"])) == "m/2/sms.zh.txt"
    assert _found(catalogue.find("m", 1, None, "sms", ["fr"])) == "m/sms.en.txt"
    assert catalogue.languages_of("m", 2, None, "sms") == {"en", "zh", "pt-BR"}
    assert catalogue.has_unusable("m", "sms")
    assert not catalogue.has_unusable("m", "email")

    _write(tmp_path, {"m/2/sms.en.txt": "mended"})
    assert _found(catalogue.find("m", 2, None, "sms", ["en"])) == "m/2/sms.en.txt"
