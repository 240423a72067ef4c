"""A letter that a person sends herself before any customer gets one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lifecycle.cli import exits, run
from tests.support.smtp import SmtpServer

CHANNELS = """\
company: {{name: Ours, address: 1 Road}}
channels:
  email:
    kind: smtp
    host: 127.0.0.1
    port: {port}
    security: none
    senders: {{care: {{name: Care, address: care@example.com}}}}
    signed_by: example.com
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    from lifecycle import resources

    folder = tmp_path / "config"
    folder.mkdir()
    policy = (resources.config_dir() / "policy.yaml").read_text("utf-8")
    (folder / "policy.yaml").write_text(policy, encoding="utf-8")
    return folder


def test_a_trial_goes_to_the_address_that_is_named_and_acts_for_nobody(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with SmtpServer() as server:
        (config / "channels.yaml").write_text(CHANNELS.format(port=server.port), encoding="utf-8")
        code = run(
            [
                "template",
                "send-test",
                "thanks",
                "--to",
                "me@example.com",
                "--config-dir",
                str(config),
            ]
        )
    assert (code, capsys.readouterr().out.startswith("✓ handed to the provider")) == (0, True)
    (letter,) = server.taken
    assert letter.recipients == ["me@example.com"]


def test_an_outbox_sends_no_trial(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(
        ["template", "send-test", "thanks", "--to", "me@example.com", "--config-dir", str(config)]
    )
    assert code != exits.Code.OK
    assert "only shows its letters" in capsys.readouterr().err
