"""Labels, columns and cells that other programs write in their own way: used, or refused."""

from __future__ import annotations

import logging
from dataclasses import replace

import ase.db
import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.singlepoint import SinglePointCalculator

from trainspot import io
from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset

CELL = 'Lattice="4 0 0 0 4 0 0 0 4"'
FORCES = "Properties=species:S:1:pos:R:3:forces:R:3"
PLAIN = "Properties=species:S:1:pos:R:3"
ATOM, PUSHED = "Cu 0 0 0\n", "Cu 0 0 0 1 2 3\n"


@pytest.fixture
def read(tmp_path):
    """Read one structure of one atom with this comment line."""

    def of(comment, atom=ATOM, mapping=None):
        (tmp_path / "a.xyz").write_text(f"1\n{comment}\n{atom}")
        return io.read(tmp_path / "a.xyz", mapping=mapping)[0]

    return of


# ── stresses ──────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", ["stress", "REF_stress"])
def test_a_stress_is_symmetric_but_for_rounding(read, name):
    head = f"{CELL} {FORCES.replace('forces', 'REF_forces' if 'REF' in name else 'forces')}"
    with pytest.raises(InputError, match=f"{name} is not symmetric: xy is 0.02, yx is 0.05"):
        read(f'{head} {name}="0.01 0.02 0 0.05 0.01 0 0 0 0.01"', PUSHED)
    found = read(f'{head} {name}="0.01 0.020001 0 0.020003 0.01 0 0 0 0.01"', PUSHED)
    assert found.labels.stress[0, 1] == found.labels.stress[1, 0] == pytest.approx(0.020002)


def test_a_mapped_stress_is_symmetric_too(read):
    with pytest.raises(InputError, match="my_stress is not symmetric: xz is 1, zx is 0"):
        read(f'{CELL} {PLAIN} my_stress="1 0 1 0 1 0 0 0 1"', mapping={"my_stress": "stress"})


# ── forces in the data of a database ──────────────────────────────────────────
@pytest.mark.parametrize("shape", [(2, 3), (6,)])
def test_reference_forces_in_the_data_of_a_row_are_labels(tmp_path, same, shape):
    forces = np.arange(6.0).reshape(shape)
    with ase.db.connect(tmp_path / "a.db") as database:
        data = {"REF_energy": -2.0, "REF_forces": forces}
        database.write(molecule("H2"), data=data)
    frames = io.read(tmp_path / "a.db")
    np.testing.assert_array_equal(frames[0].labels.forces, forces.reshape(2, 3))
    assert (frames[0].labels.energy, dict(frames[0].info)) == (-2.0, {})
    io.write(frames, tmp_path / "b.extxyz")
    same(frames, io.read(tmp_path / "b.extxyz"))


def test_reference_forces_of_another_shape_are_refused(tmp_path):
    with ase.db.connect(tmp_path / "a.db") as database:
        database.write(molecule("H2"), data={"REF_forces": np.ones((3, 3))})
    with pytest.raises(InputError, match="REF_forces has 3 × 3 numbers"):
        io.read(tmp_path / "a.db")


# ── names with units, and letters ─────────────────────────────────────────────
@pytest.mark.parametrize(
    "name",
    ["energy_Ha", "energyHartree", "energy_Ry", "total_energy_kcal_mol", "dft_energy_meV",
     "energy_kJ/mol", "energy_au", "energy_per_atom_meV"],
)  # fmt: skip
def test_an_energy_in_another_unit_is_no_offer(read, name):
    with pytest.raises(InputError, match="convert the numbers first") as caught:
        read(f"{CELL} {PLAIN} {name}=-1.5")
    assert f"{name}=energy" not in str(caught.value)
    assert f"{name}=keep" in str(caught.value)
    assert not read(f"{CELL} {PLAIN} {name}=-1.5", mapping={name: "keep"}).labels


def test_a_stress_in_another_unit_is_metadata(read, caplog):
    found = read(f'{CELL} {FORCES} energy=-1 stress_GPa="1 0 0 0 1 0 0 0 1"', PUSHED)
    assert found.labels.stress is None
    assert "'stress_GPa' is metadata, not a label: its name says another unit" in caplog.text


@pytest.mark.parametrize("name", ["energy_eV", "dft_energy", "energy_bare", "energy_harmonic"])
def test_other_names_are_offered(read, name):
    with pytest.raises(InputError, match=f"--map {name}=energy"):
        read(f"{CELL} {PLAIN} {name}=-1.5")


def test_an_energy_per_atom_is_said_to_be_multiplied(read):
    with pytest.raises(InputError, match="is multiplied by the number of atoms"):
        read(f"{CELL} {PLAIN} REF_energy_per_atom=-1.5")


@pytest.mark.parametrize("entry", ["U=3", "U=3.5", "e=5", "E=5", "u=0.1", "e=0.5"])
def test_letters_of_an_unlabelled_structure_are_metadata(read, entry):
    found = read(f"{CELL} {PLAIN} {entry}")
    assert list(found.info) == [entry[0]]


@pytest.mark.parametrize("entry", ["E=-3.5", "e=-3.5", "U=-3.5"])
def test_a_letter_beside_forces_is_an_energy(read, entry):
    with pytest.raises(InputError, match=f"--map {entry[0]}=energy"):
        read(f"{CELL} {FORCES} {entry}", PUSHED)


# ── --map where the label is there ────────────────────────────────────────────
def test_a_mapping_is_for_structures_that_lack_the_label(tmp_path, caplog):
    path = tmp_path / "a.db"
    with ase.db.connect(path) as database:
        for energy in (-1.0, -2.0):
            atoms = bulk("Cu")
            atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=np.zeros((1, 3)))
            database.write(atoms, data={"energy": -9.0} if energy == -2.0 else {})
        database.write(bulk("Cu"), data={"energy": -5.0, "forces": np.ones((1, 3))})
    mapping = io.parse_map(["energy=energy", "forces=forces"])
    frames = io.read(path, mapping=mapping)
    assert frames.column("energy").tolist() == [-1.0, -2.0, -5.0]
    assert frames[1].info == {"energy": -9.0}
    assert "'energy' stays unchanged where the label already exists (1 of 3" in caplog.text


# ── columns ───────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [("charge", "charges", "R:1"), ("pos", "positions", "R:3"), ("species", "symbols", "S:1")],
)
def test_two_columns_of_one_quantity_are_refused(read, one, other, kind):
    head = "Properties=species:S:1:pos:R:3"
    head += "" if one in head else f":{one}:{kind}"
    with pytest.raises(InputError, match=f"columns '{one}' and '{other}' are the same quantity"):
        read(f"{CELL} {head}:{other}:{kind}")


def test_text_columns_are_left_out_with_a_note(read, tmp_path, caplog):
    found = read(f"{CELL} {PLAIN}:atype:S:1:tag:I:1", "Cu 0 0 0 CA 7\n")
    assert list(found.arrays) == ["tag"]
    assert "the column 'atype' is text and is left out (1 of 1" in caplog.text


@pytest.mark.parametrize("suffix", [".pdb", ".gro"])
def test_files_of_biology_are_read(tmp_path, suffix):
    atoms = molecule("H2O", cell=[9, 9, 9], pbc=True)
    if suffix == ".gro":
        atoms.set_array("residuenames", np.array(["1SOL"] * 3))
    ase.io.write(tmp_path / f"a{suffix}", atoms)
    [frame] = io.read(tmp_path / f"a{suffix}")
    assert len(frame) == 3
    assert not any(array.dtype.kind in "UO" for array in frame.arrays.values())


def test_a_symbol_that_contradicts_the_number_is_refused(read):
    with pytest.raises(InputError, match="atom 1 has the symbol Cu, but the atomic number 28"):
        read(f"{CELL} {PLAIN}:Z:I:1", "Cu 0 0 0 28\n")
    assert read(f"{CELL} {PLAIN}:Z:I:1", "Cu 0 0 0 29\n").numbers.tolist() == [29]


# ── cells and sizes ───────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", ["cell", "Cell", "unit_cell", "lattice_vectors"])
def test_a_cell_of_another_name_is_refused(read, name):
    with pytest.raises(
        InputError, match=f"'{name}' is not read as a cell: in extended XYZ a cell is Lattice"
    ):
        read(f'{name}="4 0 0 0 4 0 0 0 4" {PLAIN}')
    kept = read(f'{CELL} {name}="4 0 0 0 4 0 0 0 4" {PLAIN}')
    assert list(kept.info) == [name]


def test_a_number_that_is_none_is_named(tmp_path):
    (tmp_path / "a.xyz").write_text("²\n\nH 0 0 0\nH 0 0 1\n", encoding="utf-8")
    with pytest.raises(InputError, match="'²' is not a number of atoms"):
        io.read(tmp_path / "a.xyz")


@pytest.fixture(autouse=True)
def _notes(caplog):
    caplog.set_level(logging.INFO)


@pytest.mark.parametrize("suffix", [".extxyz", ".db"])
def test_a_stress_of_ours_comes_back_symmetric_or_not(tmp_path, same, suffix, labelled_frames):
    frames = list(labelled_frames)
    stress = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    frames[0] = frames[0].with_(labels=replace(frames[0].labels, stress=stress))
    dataset = Dataset.from_frames(frames)
    io.write(dataset, tmp_path / f"a{suffix}")
    same(dataset, io.read(tmp_path / f"a{suffix}"))


def test_an_empty_text_of_ours_takes_nothing_in_for_other_programs(tmp_path, same):
    dataset = io.from_images([bulk("Cu")])
    frames = [frame.with_(info={"uid": "", "note": "x"}) for frame in dataset]
    dataset = Dataset.from_frames(frames)
    io.write(dataset, tmp_path / "a.extxyz")
    same(dataset, io.read(tmp_path / "a.extxyz"))
    assert ase.io.read(tmp_path / "a.extxyz").info["note"] == "x"


def test_columns_that_are_not_declared_are_no_reason_to_rename_another_unit(read):
    with pytest.raises(InputError, match="atom 1 has 7 columns") as caught:
        read("energy_Ha=-1.5", PUSHED)
    assert "REF_energy" not in str(caught.value)
