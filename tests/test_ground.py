"""What the project promises about its own making: where it installs from, what it ships, how it is
layered beyond what imports can tell.
"""

from __future__ import annotations

import ast
import re
import socket
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.conftest import ROOT, NetworkClosed

LOCKS = ["requirements.lock", "requirements-dev.lock"]
CODE = [
    *sorted((ROOT / "lifecycle").rglob("*.py")),
    *sorted((ROOT / "workers").rglob("*.py")),
    *ROOT.glob("scheduler.py"),
]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_holds_versions_and_hashes_and_names_no_host(lock: str) -> None:
    """Every machine installs from the index that it is set up for, and gets the same bytes."""
    pin = re.compile(r"[a-z0-9.-]+(\[[a-z,]+\])?==[\w.]+( ; [\w\s.'=!<>()]+)? \\")
    hashed = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    origin = re.compile(r"    # +(via|-c requirements\.lock|[\w.()\[\] -]+)( [\w.()\[\]:-]+)*")
    lines = (ROOT / lock).read_text().splitlines()
    strange = [
        line
        for line in lines
        if not any(allowed.fullmatch(line) for allowed in (pin, hashed, origin)) or "://" in line
    ]
    assert strange == []
    assert sum(1 for line in lines if pin.fullmatch(line)) > 30


def test_both_locks_pin_the_same_versions() -> None:
    """What is tested is what runs."""

    def pins(lock: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (ROOT / lock).read_text(), re.MULTILINE))

    assert pins("requirements.lock") <= pins("requirements-dev.lock")


def test_every_library_that_the_code_imports_is_asked_for_by_name() -> None:
    """Not only brought along by another one, which may drop it in its next version."""
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {normal(re.split(r"[\[<>=; ]", line)[0]) for line in asked}
    provided_by = packages_distributions()
    ours = {"lifecycle", "workers", "scheduler"}
    missing = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in CODE
        for module in imported_by(path) - ours - sys.stdlib_module_names
        if not names & {normal(name) for name in provided_by[module]}
    }
    assert missing == set()


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def imported_by(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    plain = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    from_ = {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module
    }
    return {name.partition(".")[0] for name in plain | from_}


def test_the_domain_reads_no_clock_and_opens_nothing() -> None:
    """Import contracts keep whole modules out; this keeps out what needs no import of its own."""
    forbidden = {"now", "utcnow", "today", "open", "print", "input", "read_text", "write_text"}
    found = {
        f"{path.relative_to(ROOT)}:{call.lineno} calls {name}"
        for path in sorted((ROOT / "lifecycle" / "domain").rglob("*.py"))
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and (name := called(call)) in forbidden
    }
    assert found == set()


def called(call: ast.Call) -> str | None:
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case _:
            return None


def test_the_wheel_ships_everything_and_finds_it(tmp_path: Path) -> None:
    """Installed from a wheel, far from any checkout, the engine finds the default policy."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    shipped = {
        str(path.relative_to(ROOT))
        for folder in ("lifecycle", "workers", "config")
        for path in [*ROOT.glob("scheduler.py"), *(ROOT / folder).rglob("*.*")]
        if "__pycache__" not in path.parts
    }
    expected = {re.sub(r"^config/", "lifecycle/_config/", path) for path in shipped}
    found = {str(path.relative_to(installed)) for path in installed.rglob("*.*")}

    assert expected <= found
    look = (
        f"import sys; sys.path.insert(0, {str(installed)!r});"
        "from lifecycle.resources import config_dir; print(config_dir())"
    )
    where = subprocess.run(
        [sys.executable, "-I", "-S", "-c", look],  # this checkout is nowhere on its path
        cwd="/",
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    assert where == str(installed / "lifecycle" / "_config")


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org", "0.0.0.0", "2001:db8::1"])
def test_a_test_can_not_reach_another_machine(host: str) -> None:
    """A test that needs the world outside fails at once, and says so."""
    with pytest.raises(NetworkClosed, match=re.escape(host)):
        socket.create_connection((host, 80))
