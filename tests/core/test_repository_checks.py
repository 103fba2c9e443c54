"""The small scripts of the repository that `make test` relies on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    git(tmp_path, "init", "-q")
    return tmp_path


# ── file lengths ──────────────────────────────────────────────────────────────
def test_long_files_are_refused_tracked_or_not(checkout):
    (checkout / "good.py").write_text("x = 1\n" * 400)
    assert run("file_lengths.py", checkout).returncode == 0
    (checkout / "long.py").write_text("x = 1\n" * 401)
    (checkout / "notes.txt").write_text("x\n" * 999)
    (checkout / "ignored.py").write_text("x = 1\n" * 999)
    (checkout / ".gitignore").write_text("ignored.py\n")
    for _ in range(2):
        done = run("file_lengths.py", checkout)
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            f"{checkout / 'long.py'}: 401 lines, more than 400; split it"
        ]
        git(checkout, "add", ".")


# ── coverage floor ────────────────────────────────────────────────────────────
def entry(lines: tuple[int, int], branches: tuple[int, int]) -> dict:
    return {
        "summary": {
            "covered_lines": lines[0],
            "num_statements": lines[1],
            "covered_branches": branches[0],
            "num_branches": branches[1],
        }
    }


@pytest.fixture
def report(checkout):
    """Coverage of one package 85 %, of the other 50 %."""
    files = {
        "src/one/a.py": entry((50, 50), (10, 20)),
        "src/one/b.py": entry((25, 30), (0, 0)),
        "src/two/a.py": entry((5, 10), (0, 0)),
    }
    path = checkout / "coverage.json"
    path.write_text(json.dumps({"files": files}))
    return path


def floor(checkout: Path, one: float, two: float, *, commit: bool = True) -> Path:
    path = checkout / "floor.json"
    path.write_text(json.dumps({"one": one, "two": two}))
    if commit:
        git(checkout, "add", "floor.json")
        git(checkout, "commit", "-q", "--allow-empty", "-m", "floor")
    return path


def test_coverage_at_the_floor_passes(checkout, report):
    done = run("coverage_floor.py", report, floor(checkout, 85.0, 50.0))
    assert done.returncode == 0, done.stderr
    assert "coverage of one: 85.0 % (floor 85.0 %)" in done.stdout
    assert "raise the floor" not in done.stdout


def test_coverage_below_the_floor_fails(checkout, report):
    done = run("coverage_floor.py", report, floor(checkout, 85.1, 40.0))
    assert done.returncode == 1
    assert "coverage of one fell below 85.1 %" in done.stderr
    assert "two" not in done.stderr
    assert "raise the floor" in done.stdout  # two is ten points above its floor


def test_a_floor_that_was_lowered_fails(checkout, report):
    floor(checkout, 80.0, 40.0)
    floor(checkout, 60.0, 45.0)  # committed, and still lower than before
    path = floor(checkout, 60.0, 45.0, commit=False)
    done = run("coverage_floor.py", report, path)
    assert done.returncode == 1
    assert "the floor of one fell from 80.0 to 60.0" in done.stderr
    assert "two" not in done.stderr


def test_a_package_may_not_disappear_from_the_floors(checkout, report):
    path = floor(checkout, 80.0, 40.0)
    path.write_text(json.dumps({"one": 80.0}))
    assert "the floor of two fell" in run("coverage_floor.py", report, path).stderr


def test_raising_lifts_the_floors_and_never_lowers_one(checkout, report):
    path = floor(checkout, 80.0, 40.0)
    assert run("coverage_floor.py", report, path, "--raise").returncode == 0
    assert json.loads(path.read_text()) == {"one": 85.0, "two": 50.0}
    path = floor(checkout, 90.0, 40.0)
    assert run("coverage_floor.py", report, path, "--raise").returncode == 1
    assert json.loads(path.read_text()) == {"one": 90.0, "two": 40.0}


# ── programs ──────────────────────────────────────────────────────────────────
def test_programs_named_by_the_environment_are_used_and_must_answer(tmp_path, monkeypatch):
    def program(name: str, says: str) -> Path:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\necho '{says}'\n")
        path.chmod(0o755)
        return path

    pw, ld1 = program("pw.x", "Program PWSCF"), program("ld1.x", "Program LD1")
    monkeypatch.setenv("TRAINSPOT_PWX", str(pw))
    monkeypatch.setenv("TRAINSPOT_LD1X", str(ld1))
    done = run("quantumespresso.py", tmp_path / "home")
    assert done.stdout.split() == [f"TRAINSPOT_PWX={pw}", f"TRAINSPOT_LD1X={ld1}"]
    program("pw.x", "cannot open shared object file")
    done = run("quantumespresso.py", tmp_path / "home")
    assert done.returncode == 1
    assert "pw.x does not answer" in done.stderr
    assert not (tmp_path / "home").exists()


# ── the commands of the README ────────────────────────────────────────────────
@pytest.mark.parametrize("target", ["venv", "demo", "demo-quick", "test", "bench", "lint", "docs"])
def test_every_documented_target_exists(target):
    done = subprocess.run(
        ["make", "--dry-run", "--silent", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_ci_runs_the_test_command_of_the_readme():
    assert "make test" in (ROOT / "README.md").read_text()
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "make test"


def test_constraints_pin_every_direct_dependency():
    import tomllib

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(text for extra in extras for text in extra)]
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = {
        canonicalize_name(r.name): r
        for r in (Requirement(line) for line in lines if line and not line.startswith("#"))
    }
    for text in wanted:
        requirement = Requirement(text)
        if requirement.name == "trainspot":
            continue
        pin = pins[canonicalize_name(requirement.name)]
        (version,) = [s.version for s in pin.specifier if s.operator == "=="]
        assert requirement.specifier.contains(version), text
    assert str(pins["torch"]) == "torch==2.13.0"
