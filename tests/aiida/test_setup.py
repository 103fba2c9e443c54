"""The steps of the set-up in a temporary profile; the whole of it: tests/engines/test_setup.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from aiida.manage import get_config
from aiida.orm import load_code

from aiida_trainspot.runtime import profile as profiles
from aiida_trainspot.setup import codes, installation, programs, pseudos
from trainspot.common.errors import InputError, MissingExtraError, RunError, UnknownNameError


# ── profiles ──────────────────────────────────────────────────────────────────
@pytest.fixture
def environment(monkeypatch, tmp_path):
    """An environment in which nothing has been set up; what a command changes is undone."""
    monkeypatch.setenv("AIIDA_PATH", "")
    monkeypatch.delenv("AIIDA_PATH")
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv("TRAINSPOT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_everything_lives_in_a_place_of_our_own(environment):
    assert profiles.choose(None, create=True) == "trainspot"
    assert os.environ["AIIDA_PATH"] == str(environment)
    assert (environment / ".aiida").is_dir()


def test_aiida_path_counts_if_it_is_set(environment, tmp_path, monkeypatch):
    monkeypatch.setenv("AIIDA_PATH", str(tmp_path / "elsewhere"))
    profiles.choose(None, create=True)
    assert os.environ["AIIDA_PATH"] == str(tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / ".aiida").is_dir()
    assert not environment.exists()


def test_a_named_profile_is_looked_up_in_the_usual_place(environment, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aiida").mkdir()
    assert profiles.choose("mine") == "mine"
    assert "AIIDA_PATH" not in os.environ


def test_before_the_set_up_every_command_says_what_to_do(environment):
    with pytest.raises(InputError, match="no AiiDA profile; run: trainspot setup"):
        profiles.choose(None)


def test_without_aiida_the_pip_line_answers(environment, monkeypatch):
    monkeypatch.setattr(profiles, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'trainspot\[aiida\]'"):
        profiles.choose(None)


def test_a_loaded_profile_stays(aiida_profile):
    assert profiles.load().name == aiida_profile.name
    assert profiles.load(aiida_profile.name).name == aiida_profile.name


def test_an_unknown_profile_is_not_made(aiida_profile):
    wrong = aiida_profile.name + "s"
    with pytest.raises(UnknownNameError, match=f"did you mean '{aiida_profile.name}'"):
        installation.make_profile(wrong, may_make=False)
    assert wrong not in get_config().profile_names


# ── steps ─────────────────────────────────────────────────────────────────────
def test_caching_is_switched_on_once_and_keeps_what_the_user_had(aiida_profile):
    config = get_config()
    mine = "aiida.calculations:core.arithmetic.add"
    config.set_option("caching.enabled_for", [mine], scope=aiida_profile.name)
    try:
        assert installation.enable_caching(aiida_profile).state == "made"
        assert installation.enable_caching(aiida_profile).state == "found"
        found = config.get_option("caching.enabled_for", scope=aiida_profile.name)
    finally:
        config.unset_option("caching.enabled_for", scope=aiida_profile.name)
    assert found[0] == mine
    assert {
        "aiida.calculations:quantumespresso.pw",
        "aiida.calculations:trainspot.evaluate",
    } <= set(found)
    assert not [name for name in found if "function" in name]


def test_this_machine_is_looked_at_often_and_without_login_shells(aiida_profile_clean):
    computer, finding = installation.make_computer()
    assert finding.state == "made"
    assert computer.get_minimum_job_poll_interval() == installation.POLL_INTERVAL
    settings = computer.get_configuration()
    assert settings["safe_interval"] == 0.0
    assert settings["use_login_shell"] is False
    again, finding = installation.make_computer()
    assert (again.pk, finding.state) == (computer.pk, "found")


@pytest.fixture
def pw(tmp_path):
    """Something that greets like pw.x."""
    path = tmp_path / "bin" / "pw.x"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\necho Program PWSCF v.7.5\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def make(aiida_profile_clean, tmp_path, monkeypatch):
    computer, _ = installation.make_computer()

    def code(path):
        monkeypatch.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
        return codes.make_code(
            programs.PW, computer, tmp_path, install=False, remedy=programs.PW.remedy
        )

    return code


def test_a_program_on_path_becomes_a_code_once(make, pw):
    assert make(pw).state == "made"
    assert make(pw).state == "found"
    code = load_code("pw@localhost")
    assert Path(code.filepath_executable) == pw
    assert code.default_calc_job_plugin == "quantumespresso.pw"
    assert code.with_mpi is None
    assert "OMP_NUM_THREADS=1" in code.prepend_text


def test_a_code_whose_executable_is_gone_is_replaced_and_kept_as_provenance(make, pw):
    make(pw)
    old = load_code("pw@localhost")
    moved = pw.parent.parent / "moved" / "pw.x"
    moved.parent.mkdir()
    pw.rename(moved)
    assert make(moved).state == "made"
    assert Path(load_code("pw@localhost").filepath_executable) == moved
    assert load_code(old.uuid).label == f"pw-{old.pk}"
    assert load_code(old.uuid).is_hidden


def test_a_program_that_is_not_there_or_silent_makes_no_code(make, pw):
    pw.write_text("#!/bin/sh\necho libmpi.so: cannot open >&2; exit 1\n")
    silent = make(pw)
    assert silent.state == "missing"
    assert "does not answer: libmpi.so: cannot open" in silent.detail
    pw.unlink()
    finding = make(pw)
    assert (finding.state, finding.detail) == ("missing", "no pw.x")
    assert "put pw.x on PATH" in finding.hint
    with pytest.raises(Exception, match="no Code"):
        load_code("pw@localhost")


def test_a_program_that_we_can_install_is_brought_if_the_user_lets_us(
    aiida_profile_clean, tmp_path, monkeypatch, pw
):
    computer, _ = installation.make_computer()
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    (label,) = programs.BRINGERS
    assert label == programs.PW.label
    assert programs.BRINGERS[label].install is programs.install_qe

    def made(bring, *, install):
        monkeypatch.setattr(programs, "BRINGERS", {label: programs.Bringer(bring, "a wheel")})
        return codes.make_code(programs.PW, computer, tmp_path, install=install)

    def fails(home):
        raise RunError("pip failed", hint="look at pip")

    assert made(lambda _: pw, install=False).detail == "no pw.x"
    failed = made(fails, install=True)
    assert (failed.state, failed.detail, failed.hint) == ("missing", "pip failed", "look at pip")
    assert made(lambda _: pw, install=True).detail == f"{pw} (a wheel)"


def test_our_own_programs_lie_beside_this_python(tmp_path):
    path = programs.locate(programs.OWN, tmp_path)
    assert path.name == "trainspot"
    assert programs.silence(programs.OWN, path) == ""


def test_a_python_program_without_its_module_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(programs, "find_spec", lambda _: None)
    every = programs.every()
    assert [program.label for program in every if program.module] == ["lmp", "mace", "trainspot"]
    assert all(programs.locate(program, tmp_path) is None for program in every if program.module)


def test_a_python_for_which_there_is_no_wheel(monkeypatch, tmp_path):
    monkeypatch.setattr(programs, "_QEPY_PYTHONS", ("1.4",))
    with pytest.raises(RunError, match=r"the qepy wheel needs Python 1\.4"):
        programs.install_qe(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_installation_that_fails_leaves_nothing(monkeypatch, tmp_path):
    def fails(command, **_):
        Path(command[-1]).mkdir(exist_ok=True)
        if "pip" in command:
            raise subprocess.CalledProcessError(1, command, b"", b"ERROR: no matching\n")

    monkeypatch.setattr(programs.subprocess, "run", fails)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=r"failed: ERROR: no matching"):
        programs.install_qe(tmp_path / "home")
    assert list((tmp_path / "home").iterdir()) == []


# ── pseudopotentials ──────────────────────────────────────────────────────────
def test_sssp_that_cannot_be_had_is_missing_with_the_ways_to_get_it(aiida_profile_clean, tmp_path):
    archive = tmp_path / "sssp.aiida_pseudo"
    archive.write_text("not an archive")
    finding = pseudos.install_sssp(aiida_profile_clean.name, archive)
    assert finding.state == "missing"
    assert "--sssp-archive FILE" in finding.hint
    assert "--demo-pseudos" in finding.hint
    assert pseudos.family(pseudos.SSSP) is None


def test_demonstration_pseudopotentials_need_ld1(aiida_profile_clean, tmp_path):
    assert pseudos.generate_demo_family(None).detail == "no ld1.x"
    broken = pseudos.generate_demo_family(tmp_path / "ld1.x")
    assert broken.state == "missing"
    assert "ld1.x does not answer" in broken.detail


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='archive'): Max retries",
            "no connection to the archive",
        ),
        ("Critical: a family of this name exists", "Critical: a family of this name exists"),
    ],
)
def test_why_pseudopotentials_are_missing_is_short(said, reason):
    program = "import sys; sys.exit(sys.argv[1])"
    assert pseudos._failure([sys.executable, "-c", program, said]) == reason
    assert pseudos._failure([sys.executable, "-c", "pass"]) == ""
