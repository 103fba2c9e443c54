"""What ``trainspot check`` says before anything is spent."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from aiida.manage import get_config
from aiida.orm import InstalledCode

from aiida_trainspot import checks
from aiida_trainspot.setup import programs, pseudos
from aiida_trainspot.setup.installation import cached_calculations
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.dataset import Dataset
from trainspot.errors import InputError

TOYS = {
    "label": {"engine": "ase", "calculator": "emt", "code": "ours@localhost"},
    "train": {"engine": "toy", "code": "ours@localhost"},
    "explore": {"engine": "ase", "code": "ours@localhost"},
    "evaluate": {"code": "ours@localhost"},
}


@pytest.fixture
def ours(aiida_profile_clean, aiida_localhost):
    return InstalledCode(
        label="ours", computer=aiida_localhost, filepath_executable="/bin/true"
    ).store()


@pytest.fixture
def remarks(ours, silicon):
    def run(written=TOYS, *, thorough=True):
        loaded = resolve(Document(Path("c.yaml"), written))
        found = checks.check(loaded, Dataset.from_frames([silicon]), thorough=thorough)
        assert all("\n" not in remark.text for remark in found)
        return [(remark.level, remark.text) for remark in found]

    return run


def errors_of(remarks):
    return [text for level, text in remarks if level == "error" and "profile" not in text]


def test_a_campaign_whose_codes_answer_has_no_errors(remarks):
    assert errors_of(remarks()) == []


def test_a_profile_without_broker_or_daemon_is_an_error(remarks):
    (first, *_) = remarks()
    assert first[0] == "error"
    assert "has no broker, so no daemon; run: verdi" in first[1] or "has no daemon" in first[1]


def test_a_daemon_that_runs_an_older_version_is_a_warning(remarks, monkeypatch):
    class Client:
        is_daemon_running = True

        def get_daemon_pid(self):
            return os.getpid()

    profile = type("Profile", (), {"name": "p", "process_control_backend": "core.zeromq"})
    monkeypatch.setattr(checks, "get_daemon_client", lambda _: Client())
    monkeypatch.setattr(checks.get_manager(), "get_profile", lambda: profile)
    assert list(checks._daemon()) == []
    installed = {"trainspot": time.time() + 60.0}
    monkeypatch.setattr(checks, "_installed", lambda package: installed.get(package, 0.0))
    (remark,) = checks._daemon()
    assert remark.level == "warning"
    assert remark.text.startswith("the daemon runs an older trainspot than the one installed")


def test_when_a_package_was_installed():
    assert 0.0 < checks._installed("trainspot") < time.time()
    assert checks._installed("no-such-package") == 0.0


def test_caching_that_is_off_is_a_warning(remarks, aiida_profile):
    config, scope = get_config(), aiida_profile.name
    (warning,) = [text for level, text in remarks() if level == "warning"]
    assert "caching is off for" in warning
    assert "trainspot.evaluate" in warning
    config.set_option("caching.enabled_for", cached_calculations(), scope=scope)
    try:
        assert not [text for level, text in remarks() if level == "warning"]
    finally:
        config.unset_option("caching.enabled_for", scope=scope)


def test_an_unknown_code_names_the_nearest_and_the_others_are_still_checked(remarks):
    written = {**TOYS, "train": {"engine": "toy", "code": "oures@localhost"}}
    found = errors_of(remarks({**written, "explore": {"engine": "ase", "code": "x@y"}}))
    assert "train.code: unknown code 'oures@localhost'; did you mean 'ours@localhost'?" in found
    assert any(text.startswith("explore.code: unknown code 'x@y'") for text in found)


def test_a_code_without_executable_does_not_answer(remarks, aiida_localhost):
    InstalledCode(
        label="gone", computer=aiida_localhost, filepath_executable="/nowhere/pw.x"
    ).store()
    (text,) = errors_of(remarks({**TOYS, "evaluate": {"code": "gone@localhost"}}))
    assert text.startswith("code 'gone@localhost' does not answer: ")
    assert text.endswith("; run: trainspot setup")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo hello", "hello"),
        ("echo 'no such library' >&2; exit 127", "no such library"),
        ("echo Program PWSCF v.7.5", ""),
    ],
)
def test_a_pw_that_does_not_greet_does_not_answer(
    script, reason, remarks, aiida_localhost, tmp_path
):
    path = tmp_path / "pw.x"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    InstalledCode(
        label="pw",
        computer=aiida_localhost,
        filepath_executable=str(path),
        default_calc_job_plugin="quantumespresso.pw",
    ).store()
    found = errors_of(remarks({**TOYS, "evaluate": {"code": "pw@localhost"}}))
    expected = f"code 'pw@localhost' does not answer: {reason}; run: trainspot setup"
    assert found == ([expected] if reason else [])


def test_slow_programs_are_started_only_if_asked(remarks, aiida_localhost, monkeypatch):
    InstalledCode(
        label="mace",
        computer=aiida_localhost,
        filepath_executable="/bin/false",
        default_calc_job_plugin="trainspot.mace_train",
    ).store()
    written = {**TOYS, "evaluate": {"code": "mace@localhost"}}
    assert errors_of(remarks(written, thorough=False)) == []
    (text,) = errors_of(remarks(written))
    assert "does not answer: exit status 1" in text


def test_more_jobs_than_the_daemon_holds_are_refused(remarks):
    written = {**TOYS, "train": {**TOYS["train"], "max_concurrent": 100_000}}
    (text,) = errors_of(remarks(written))
    assert text.startswith("train.max_concurrent = 100000: the daemon holds 65")


def test_an_element_or_a_family_that_is_missing(remarks, ours, monkeypatch):
    written = {**TOYS, "label": {"engine": "quantumespresso", "code": "ours@localhost"}}
    (text,) = errors_of(remarks(written))
    assert text.startswith("no pseudopotential family 'SSSP/1.3/PBE/precision'; run: trainspot")
    monkeypatch.setattr(pseudos, "family", lambda _: type("Family", (), {"elements": ["C", "O"]}))
    (text,) = errors_of(remarks(written))
    assert text.startswith("element Si has no pseudopotential in 'SSSP/1.3/PBE/precision'; ")


def test_refusing_stops_at_the_first_error():
    levels = ("warning", "error", "error")
    remarks = [checks.Remark(level, f"{n}: is so") for n, level in enumerate(levels)]
    with pytest.raises(InputError, match="1: is so"):
        checks.refuse(remarks)
    checks.refuse(remarks[:1])


def test_a_program_that_hangs_does_not_answer(tmp_path, monkeypatch):
    path = tmp_path / "hangs"
    path.write_text("#!/bin/sh\nexec sleep 60\n")
    path.chmod(0o755)
    monkeypatch.setattr(programs, "_TIME_LIMIT", 0.2)
    assert programs.silence(programs.PW, path) == "no answer within 0.2 s"
    assert programs.silence(programs.PW, tmp_path / "none") == "No such file or directory"
