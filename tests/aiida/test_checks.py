"""What ``trainspot check`` says before anything is spent."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from aiida.manage import get_config
from aiida.orm import InstalledCode

from aiida_trainspot.launch import checks
from aiida_trainspot.runtime import daemon
from aiida_trainspot.setup import programs
from aiida_trainspot.setup.installation import cached_calculations
from aiida_trainspot.workflows.label import pseudos
from trainspot.common.errors import InputError
from trainspot.config.document import Document
from trainspot.config.load import resolve
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.label.pw_memory import memory
from trainspot.label.quantumespresso import QuantumEspressoSettings


@pytest.fixture
def remarks(ours, silicon, toys):
    def run(written=toys, *, frame=silicon, thorough=True):
        loaded = resolve(Document(Path("c.yaml"), written))
        found = checks.check(loaded, Dataset.from_frames([frame]), thorough=thorough)
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
    assert "cannot have a daemon; run: verdi" in first[1] or "is not running" in first[1]


def test_a_daemon_that_runs_an_older_version_is_a_warning(remarks, monkeypatch):
    profile = type("Profile", (), {"name": "p", "process_control_backend": "core.zeromq"})
    monkeypatch.setattr(checks.daemon, "stall", lambda _: None)
    runs = daemon.Daemon("p", daemon.State.RUNS, os.getpid())
    monkeypatch.setattr(checks.daemon, "look", lambda _: runs)
    monkeypatch.setattr(checks.get_manager(), "get_profile", lambda: profile)
    assert list(checks._daemon()) == []
    installed = {"trainspot": time.time() + 60.0}
    monkeypatch.setattr(checks, "_installed", lambda package: installed.get(package, 0.0))
    (remark,) = checks._daemon()
    assert remark.level == "warning"
    assert remark.text.startswith("the daemon started before trainspot was installed and runs the")


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


def test_an_unknown_code_names_the_nearest_and_the_others_are_still_checked(remarks, toys):
    written = {**toys, "train": {"engine": "toy", "code": "oures@localhost"}}
    found = errors_of(remarks({**written, "explore": {"engine": "ase", "code": "x@y"}}))
    assert "train.code: unknown code 'oures@localhost'; did you mean 'ours@localhost'?" in found
    assert any(text.startswith("explore.code: unknown code 'x@y'") for text in found)


def test_a_code_without_executable_does_not_answer(remarks, aiida_localhost, toys):
    InstalledCode(
        label="gone", computer=aiida_localhost, filepath_executable="/nowhere/pw.x"
    ).store()
    (text,) = errors_of(remarks({**toys, "evaluate": {"code": "gone@localhost"}}))
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
    script, reason, remarks, aiida_localhost, tmp_path, toys
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
    found = errors_of(remarks({**toys, "evaluate": {"code": "pw@localhost"}}))
    expected = f"code 'pw@localhost' does not answer: {reason}; run: trainspot setup"
    assert found == ([expected] if reason else [])


def test_slow_programs_are_started_only_if_asked(remarks, aiida_localhost, monkeypatch, toys):
    InstalledCode(
        label="mace",
        computer=aiida_localhost,
        filepath_executable="/bin/false",
        default_calc_job_plugin="trainspot.mace_train",
    ).store()
    written = {**toys, "evaluate": {"code": "mace@localhost"}}
    assert errors_of(remarks(written, thorough=False)) == []
    (text,) = errors_of(remarks(written))
    assert "does not answer: exit status 1" in text


def test_what_the_file_alone_tells_is_told(remarks, toys):
    toys["label"] |= {"calculator": "emt2"}
    assert errors_of(remarks(toys, thorough=False)) == [
        "label.calculator: unknown calculator 'emt2'; did you mean 'emt'?"
    ]


def test_more_jobs_than_the_daemon_holds_are_refused(remarks, toys):
    written = {**toys, "train": {**toys["train"], "max_concurrent": 100_000}}
    (text,) = errors_of(remarks(written))
    assert text.startswith("train.max_concurrent = 100000: the daemon holds 65")


def test_an_element_or_a_family_that_is_missing(remarks, ours, monkeypatch, toys):
    written = {**toys, "label": {"engine": "quantumespresso", "code": "ours@localhost"}}
    (text,) = errors_of(remarks(written))
    assert text.startswith("no pseudopotential family 'SSSP/1.3/PBE/precision'; run: trainspot")
    monkeypatch.setattr(pseudos, "family", lambda _: type("Family", (), {"elements": ["C", "O"]}))
    (text,) = errors_of(remarks(written))
    assert text.startswith("element Si has no pseudopotential in 'SSSP/1.3/PBE/precision'; ")


def test_an_element_that_the_augmentation_brings_is_missed_too(remarks, monkeypatch, toys):
    class Silicon(DemandingFamily):
        elements = ("Si",)

    monkeypatch.setattr(pseudos, "family", lambda _: Silicon())
    monkeypatch.setattr(checks, "_daemon", list)
    label = {"engine": "quantumespresso", "code": "ours@localhost", "ecutwfc": 30, "ecutrho": 240}
    alloy = {"kind": "alloy", "alloy_species": ["Si", "Ge"], "copies": 2}
    written = {**toys, "label": label, "augment": [{"kind": "input"}, alloy]}
    (text,) = errors_of(remarks(written))
    assert text.startswith("element Ge has no pseudopotential in 'SSSP/1.3/PBE/precision'; ")


class DemandingFamily:
    """Stands for an installed family; the real ones are used in tests/engines."""

    elements = ("Si",)

    def get_pseudo(self, element):
        assert element == "Si"
        return type("Pseudo", (), {"z_valence": 4.0})

    def get_recommended_cutoffs(self, *, elements, unit):
        assert (elements, unit) == (("Si",), "Ry")
        return 30.0, 240.0


@pytest.fixture
def plane_waves(remarks, silicon, toys, monkeypatch):
    """The remarks on labels alone, of a campaign with pw.x on a machine of one GB."""
    monkeypatch.setattr(pseudos, "family", lambda _: DemandingFamily())
    machine = type("Memory", (), {"total": 1e9})
    monkeypatch.setattr(checks.psutil, "virtual_memory", lambda: machine)
    monkeypatch.setattr(checks, "_daemon", list)
    monkeypatch.setattr(checks, "_caching", list)

    def run(cells=1, frame=silicon, resources=None, **label):
        section = {"engine": "quantumespresso", "code": "ours@localhost", "kpoints_mesh": [2, 2, 2]}
        length = {"kind": "supercell", "min_length": 5.4 * cells}
        written = {**toys, "label": section | label, "augment": [length]}
        few, *others = remarks(written | {"resources": resources or {}}, frame=frame)
        assert few[0] == "warning"
        assert few[1].startswith("0 validation frames in iteration 1: thresholds need 12")
        return others

    return run


def test_the_first_labels_and_their_memory_are_told(plane_waves, silicon):
    settings = QuantumEspressoSettings(ecutwfc=30, ecutrho=240, kpoints_mesh=(2, 2, 2))
    needed = memory(silicon, settings, {"Si": 4.0})
    assert plane_waves(max_concurrent=1) == [
        ("note", "1 frame of 8 atoms will be labelled first"),
        ("note", f"the largest label, 8 atoms, needs about {needed:.2g} GB"),
    ]


@pytest.mark.parametrize("thorough", [True, False])
def test_fixed_occupations_with_odd_electrons_are_an_error(remarks, toys, monkeypatch, thorough):
    class Odd(DemandingFamily):
        def get_pseudo(self, element):
            return type("Pseudo", (), {"z_valence": 3.0})

    label = {"engine": "quantumespresso", "code": "ours@localhost", "kpoints_mesh": [2, 2, 2]}
    written = {**toys, "label": label | {"occupations": "fixed"}, "augment": [{"kind": "input"}]}
    frame = Frame.make([14], [[0, 0, 0]], [[0, 2.7, 2.7], [2.7, 0, 2.7], [2.7, 2.7, 0]], True)
    monkeypatch.setattr(checks, "_daemon", list)
    for family, found in ((Odd, 1), (DemandingFamily, 0)):
        monkeypatch.setattr(pseudos, "family", lambda _, made=family: made())
        told = errors_of(remarks(written, frame=frame, thorough=thorough))
        assert len(told) == found
        assert all(text.startswith("1 of 1 frame to be labelled have an odd") for text in told)


def test_labels_beyond_the_memory_of_the_machine_are_a_warning(plane_waves):
    *_, (level, text) = plane_waves(2, max_concurrent=1)
    assert level == "warning"
    assert text.startswith("1 label at the same time may need ")
    assert text.endswith(
        "this machine has 1 GB; lower label.max_concurrent or the size of the supercells"
    )


def test_labels_beyond_the_memory_of_a_job_are_a_warning(plane_waves, aiida_computer):
    computer = aiida_computer(
        label="cluster", transport_type="core.local", scheduler_type="core.slurm"
    )
    computer.configure()
    InstalledCode(label="pw", computer=computer, filepath_executable="/bin/true").store()
    asked = {"code": "pw@cluster", "max_concurrent": 50}
    assert [level for level, _ in plane_waves(**asked)] == ["note", "note"]  # nothing is known
    roomy = {"cluster": {"memory": 0.03, "machines": 2}}
    assert [level for level, _ in plane_waves(resources=roomy, **asked)] == ["note", "note"]
    *_, (level, text) = plane_waves(resources={"cluster": {"memory": 0.03}}, **asked)
    assert level == "warning"
    assert text.endswith("the job has 0.03 GB; ask for more nodes or memory under resources")


def test_frames_that_cannot_be_labelled_are_a_warning(plane_waves, silicon):
    atoms = silicon.to_atoms()
    atoms.set_cell(atoms.cell.array * [3, 1, 1])
    film = Frame.make(atoms.numbers, atoms.positions, atoms.cell.array, (False, True, True))
    first, (level, text), _ = plane_waves(frame=film, assume_isolated="2D")
    assert first == ("note", "1 frame of 8 atoms will be labelled first")
    assert level == "warning"
    assert text.startswith("1 of 1 frames cannot be labelled: assume_isolated: 2D needs the vacuum")


def test_a_campaign_whose_augmentation_fails_is_refused(remarks, silicon, monkeypatch):
    crowded = silicon.positions.copy()
    crowded[1] = crowded[0] + 0.1
    frame = Frame.make(silicon.numbers, crowded, silicon.cell, silicon.pbc)
    monkeypatch.setattr(checks, "_daemon", list)
    ((level, text),) = [pair for pair in remarks(frame=frame) if "overlapping" in pair[1]]
    assert level == "error"
    assert "overlapping atoms" in text


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
