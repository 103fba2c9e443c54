"""``trainspot setup`` on a machine where nothing is: profile, daemon, pw.x from its wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.slow]

HERE = Path(sys.executable).parent


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An empty home; its daemon is stopped at the end."""
    folder = tmp_path_factory.mktemp("home")
    yield folder
    verdi(folder, "daemon", "stop")


def environment(home):
    """No pw.x on PATH, no activated environment, nothing of the user's."""
    kept = {k: v for k, v in os.environ.items() if k not in ("AIIDA_PATH", "VIRTUAL_ENV")}
    return {**kept, "HOME": str(home), "TRAINSPOT_HOME": str(home / "ts"), "PATH": "/usr/bin:/bin"}


def trainspot(home, *argv):
    done = subprocess.run(
        [HERE / "trainspot", *argv],
        env=environment(home),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def verdi(home, *argv):
    env = {**environment(home), "AIIDA_PATH": str(home / "ts")}
    done = subprocess.run(
        [HERE / "verdi", "-p", "trainspot", *argv],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def first(home):
    argv = ("setup", "--demo-pseudos", "--workers", "1", "--json")
    return {row["item"]: row for row in json.loads(trainspot(home, *argv))}


def test_everything_is_made(first, home):
    assert {row["state"] for row in first.values()} == {"made"}, first
    assert list(first) == [
        *("profile", "caching", "computer", "pw@localhost", "lmp@localhost", "mace@localhost"),
        *("trainspot@localhost", "pseudopotentials", "daemon"),
    ]
    assert "qepy wheel" in first["pw@localhost"]["detail"]
    assert "DEMONSTRATION QUALITY" in first["pseudopotentials"]["detail"]
    assert not (home / ".aiida").exists()


def test_aiida_agrees(first, home):
    assert "is running" in verdi(home, "daemon", "status")
    config = json.loads((home / "ts" / ".aiida" / "config.json").read_text())
    profile = config["profiles"]["trainspot"]
    assert profile["storage"]["backend"] == "core.sqlite_dos"
    assert profile["process_control"]["backend"] == "core.zeromq"


def test_pw_answers_with_the_environment_of_the_daemon(first, home):
    """The daemon exports PYTHONPATH with a numpy that the qepy wheel cannot use."""
    program = home / "ts" / "quantum-espresso" / "bin" / "pw.x"
    done = subprocess.run(
        [str(program)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert "Program PWSCF" in done.stdout, done.stderr


def test_a_second_time_finds_everything(first, home):
    rows = json.loads(trainspot(home, "setup", "--json", "--demo-pseudos"))
    assert {row["item"]: row["state"] for row in rows} == dict.fromkeys(first, "found")


def test_a_campaign_on_silicon_can_now_be_started(first, home, tmp_path):
    shutil.copy(Path(__file__).with_name("silicon.cif"), tmp_path / "si.cif")
    path = tmp_path / "c.yaml"
    path.write_text(
        "structures: [si.cif]\nlabel: {pseudo_family: trainspot-demonstration}\n"
        "train: {engine: toy}\n",  # MACE takes seconds to say something, and has said it above
        encoding="utf-8",
    )
    assert f"{path}: ready (1 structure of Si)" in trainspot(home, "check", str(path))
    assert trainspot(home, "status", "--json") == "[]\n"
