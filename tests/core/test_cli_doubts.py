"""What cannot be in eV and Å is said by every command that reads labels, and stress is listed.

Files as those of mlearn #64 (stress in kbar) and mace #581 (isolated atoms of another method).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from click.testing import CliRunner

from trainspot import io
from trainspot.cli import main
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels

CIF = Path(__file__).parent / "plausibility" / "data" / "rounded.cif"
KBAR = "warning: stresses contradict the energies: between similar frames V·σ·ε is about -"
ATOMS = "warning: 24 frames lie +2042 eV/atom above the isolated atoms (median), but bound matter"


def frames(*, stress=1.0, atom=0.0):
    rng = np.random.default_rng(3)
    found = []
    for _ in range(24):
        atoms = bulk("Cu", cubic=True)
        tensor = rng.uniform(-0.04, 0.04, (3, 3))
        atoms.set_cell(atoms.cell.array @ (np.eye(3) + (tensor + tensor.T) / 2), scale_atoms=True)
        atoms.positions += rng.normal(0, 0.04, (4, 3))
        atoms.calc = EMT()
        labels = Labels(
            atoms.get_potential_energy(),
            atoms.get_forces(),
            atoms.get_stress(voigt=False) * stress,
            "emt",
        )
        found.append(Frame.from_atoms(atoms).with_(labels=labels))
    alone = Frame.from_atoms(Atoms("Cu"))
    found.append(alone.with_(labels=Labels(3.51 + atom, np.zeros((1, 3)), None, "emt")))
    return Dataset.from_frames(found)


@pytest.fixture
def call(tmp_path, monkeypatch):
    io.write(frames(), tmp_path / "good.extxyz")
    io.write(frames(stress=-1602.1766), tmp_path / "kbar.extxyz")
    io.write(frames(atom=-2045.0), tmp_path / "atoms.extxyz")
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.mark.parametrize(("name", "said"), [("kbar", KBAR), ("atoms", ATOMS)])
@pytest.mark.parametrize(
    "command",
    [
        ("inspect",),
        ("convert", "out.h5"),
        ("train", "--engine", "toy", "--committee-size", 2, "-o", "out"),
    ],
)
def test_a_warning_is_one_line_beside_what_is_done(call, command, name, said):
    result = call(command[0], f"{name}.extxyz", *command[1:])
    assert result.exit_code == 0, result.output
    assert sum(line.startswith(said) for line in result.stderr.splitlines()) == 1
    rest = [{"out": "other"}.get(word, word) for word in command[1:]]
    good = call(command[0], "good.extxyz", *rest)
    assert good.exit_code == 0, good.output
    assert "warning" not in good.stderr


def test_programs_get_a_list_with_the_factor(call):
    for command in (("inspect", "kbar.extxyz"), ("convert", "kbar.extxyz", "out.h5")):
        (found,) = json.loads(call(*command, "--json").stdout)["doubts"]
        assert found["kind"] == "stress-against-energy"
        assert found["factor"] == pytest.approx(-1 / 1602.1766)
        assert found["text"].startswith(KBAR.removeprefix("warning: "))
        assert (
            json.loads(call(command[0], "good.extxyz", *command[2:], "--json").stdout)["doubts"]
            == []
        )


def test_nothing_is_changed_by_guessing(call, tmp_path):
    call("convert", "kbar.extxyz", "out.h5")
    kept = io.read(tmp_path / "out.h5").column("stress")
    np.testing.assert_array_equal(kept, io.read(tmp_path / "kbar.extxyz").column("stress"))


def test_calibrate_says_it_too(call):
    call("train", "good.extxyz", "--engine", "toy", "--committee-size", 2, "-o", "out")
    call("evaluate", "out/dataset.h5", "--models", "out", "-o", "p.h5")
    asked = ("calibrate", "p.h5", "--reference", "atoms.extxyz", "--tolerance", "forces=50")
    said = call(*asked).stderr
    assert ATOMS in said
    assert "warning: tolerance.forces = 50 eV/Å is larger than the spread of the labels, " in said


def test_inspect_lists_stress_and_readable_thousands(call):
    shown = call("inspect", "atoms.extxyz").stdout
    assert "25 with forces, 24 with stress" in shown
    assert "component of the stress" in shown
    assert "2 042" in shown
    assert "\N{REPLACEMENT CHARACTER}" not in shown
    rows = [line.split() for line in shown.splitlines()]
    assert ["stress", "24", "96.0%"] in rows
    told = json.loads(call("inspect", "atoms.extxyz", "--json").stdout)
    stress = frames().column("stress")[:24]
    assert told["stress"]["count"] == 24 * 6
    assert told["stress"]["largest"] == pytest.approx(stress.max())
    assert told["stress"]["least"] == pytest.approx(stress.min())


def test_the_page_says_it_first(call, tmp_path):
    assert call("inspect", "kbar.extxyz", "-o", "a.html").exit_code == 0
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "Stresses contradict the energies" in page
    assert "with a stress" in page


def test_a_cif_file_with_rounded_coordinates_is_told_to_have_more_digits(call):
    converted = call("convert", CIF, "out.extxyz")
    assert converted.exit_code == 0
    digits = "needs more digits, 1/3 and 2/3 as 0.33333333 and 0.66666667"
    assert digits in converted.stderr
    for command in (("augment", CIF, "-o", "a.h5"), ("init", CIF, "-o", "c.yaml")):
        refused = call(*command)
        assert refused.exit_code == 2
        assert "are 0.0025 Å apart" in refused.stderr
        assert digits in refused.stderr
