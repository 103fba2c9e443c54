"""What ASE's structures carry besides geometry: results, constraints, rows of databases."""

from __future__ import annotations

import sqlite3
import sys

import ase.db
import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms, FixBondLengths, FixScaled

from trainspot import io
from trainspot.common.errors import InputError, MissingExtraError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels


@pytest.fixture
def computed():
    """A structure with everything a DFT program may say about it."""
    atoms = bulk("Fe", cubic=True)
    atoms.calc = SinglePointCalculator(
        atoms, energy=-3.70, free_energy=-3.75, forces=np.ones((2, 3)),
        charges=np.array([0.1, -0.1]), magmoms=np.array([2.2, 2.3]),
        dipole=np.array([1.0, 0.0, 0.5]), magmom=4.5,
    )  # fmt: skip
    return atoms


# ── results of a calculator ───────────────────────────────────────────────────
@pytest.mark.parametrize("suffix", [None, "extxyz", "db", "traj"])
def test_results_that_are_no_labels_are_kept(tmp_path, computed, suffix):
    if suffix:
        path = tmp_path / f"fe.{suffix}"
        ase.io.write(path, computed)
        frame = io.read(path)[0]
    else:
        frame = io.from_ase(computed)
    assert frame.labels.energy == -3.75
    assert frame.info["energy_sigma0"] == -3.70
    np.testing.assert_array_equal(frame.arrays["charges"], [0.1, -0.1])
    np.testing.assert_array_equal(frame.arrays["magmoms"], [2.2, 2.3])
    np.testing.assert_array_equal(frame.info["dipole"], [1.0, 0.0, 0.5])
    assert frame.info["magmom"] == 4.5
    assert not {"forces", "energy", "free_energy"} & (frame.info.keys() | frame.arrays.keys())


def test_labels_under_two_sets_of_names_are_refused_not_dropped(tmp_path, computed):
    path = tmp_path / "fe.extxyz"
    computed.info["REF_energy"] = -3.8
    ase.io.write(path, computed)
    with pytest.raises(InputError, match="'REF_energy' and 'forces' are labels under two sets"):
        io.read(path)
    del computed.info["REF_energy"]
    computed.arrays["REF_forces"] = np.zeros((2, 3))
    ase.io.write(path, computed)
    with pytest.raises(InputError, match="call the latter 'REF_energy', or remove it"):
        io.read(path)
    computed.info["REF_energy"] = -3.8  # now the results are those of something else, a model say
    ase.io.write(path, computed)
    assert io.read(path)[0].labels.energy == -3.8


def test_one_energy_is_not_kept_twice(computed):
    computed.calc.results["free_energy"] = computed.calc.results["energy"]
    assert "energy_sigma0" not in io.from_ase(computed).info


def test_a_result_that_is_in_the_metadata_too_is_refused(computed):
    computed.info["dipole"] = [0, 0, 0]
    with pytest.raises(InputError, match="'dipole' is given twice"):
        io.from_ase(computed)


# ── constraints ───────────────────────────────────────────────────────────────
def test_constraints_of_a_poscar_are_kept(tmp_path, same):
    atoms = bulk("Si", cubic=True)
    atoms.set_constraint([FixAtoms([0, 3]), FixScaled(1, (True, False, False), atoms.cell)])
    ase.io.write(tmp_path / "POSCAR.vasp", atoms)
    dataset = io.read(tmp_path / "POSCAR.vasp")
    back = io.to_ase(dataset[0])
    expected = ase.io.read(tmp_path / "POSCAR.vasp")
    assert repr(back.constraints) == repr(expected.constraints) != "[]"
    assert "constraints" not in back.info
    for suffix in ("extxyz", "db"):
        io.write(dataset, tmp_path / f"a.{suffix}")
        same(dataset, io.read(tmp_path / f"a.{suffix}"))
    [atoms] = ase.io.read(tmp_path / "a.db", ":")  # as other programs see it
    assert repr(atoms.constraints) == repr(expected.constraints)


def test_constraints_in_extended_xyz_are_kept(tmp_path):
    atoms = bulk("Si", cubic=True)
    atoms.set_constraint(FixAtoms([2]))
    ase.io.write(tmp_path / "a.extxyz", atoms, columns=["symbols", "positions", "move_mask"])
    back = io.to_ase(io.read(tmp_path / "a.extxyz")[0])
    assert back.constraints[0].index.tolist() == [2]


def test_labels_do_not_feel_constraints():
    atoms = bulk("Si", cubic=True)
    atoms.calc = SinglePointCalculator(atoms, energy=1.0, forces=np.ones((8, 3)))
    atoms.set_constraint(FixAtoms(range(8)))
    assert np.all(io.from_ase(atoms).labels.forces == 1.0)


def test_constraints_that_cannot_be_kept_are_refused():
    class Mine(FixBondLengths):
        pass

    atoms = bulk("Si", cubic=True)
    atoms.set_constraint(Mine([[0, 1]]))
    with pytest.raises(InputError, match="constraint of type Mine cannot be kept"):
        io.from_ase(atoms)


@pytest.mark.parametrize(
    "entry",
    [
        "free text",
        [{"name": "os.path.Evil", "kwargs": {}}],
        ["FixAtoms"],
        [{"name": "constrained_indices", "kwargs": {"atoms": [], "only_include": None}}],
        [{"name": "FixAtoms", "kwargs": {"nonsense": 1}}],
    ],
)
def test_metadata_called_constraints_that_are_none_stay_metadata(silicon, entry):
    atoms = io.to_ase(silicon.with_(info={"constraints": entry}))
    assert atoms.constraints == []
    assert atoms.info["constraints"] == entry
    assert io.from_ase(atoms).info["constraints"] == entry


# ── databases ─────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("suffix", ["db", "json", "aselmdb"])
def test_pairs_and_data_of_foreign_rows_are_kept(tmp_path, computed, suffix):
    path = tmp_path / f"foreign.{suffix}"
    computed.calc.name = "vasp"
    data = {"spectrum": np.arange(3.0), "history": [{"step": 1}]}
    with ase.db.connect(path) as database:
        database.write(computed, key_value_pairs={"group": "bcc", "n": 3, "x": 0.1}, data=data)
        database.write(bulk("Cu"))
    frame, other = io.read(path, theory="pbe")
    assert (frame.info["group"], frame.info["n"], frame.info["x"]) == ("bcc", 3, 0.1)
    assert frame.info["history"] == [{"step": 1}]
    np.testing.assert_array_equal(frame.info["spectrum"], np.arange(3.0))
    assert frame.info["calculator"] == "vasp"
    assert frame.info["magmom"] == 4.5
    assert (frame.labels.energy, frame.labels.theory) == (-3.75, "pbe")
    assert (len(other), dict(other.info)) == (1, {})


def test_a_name_in_pairs_and_data_is_refused(tmp_path):
    with ase.db.connect(tmp_path / "a.db") as database:
        database.write(bulk("Cu"), group="bcc", data={"group": "fcc"})
    with pytest.raises(InputError, match="row 1: 'group' is a key-value pair and in the data"):
        io.read(tmp_path / "a.db")


def test_other_programs_find_labels_and_sets_in_our_databases(tmp_path, labelled_frames):
    frames = [f.with_(split="test" if i < 3 else "train") for i, f in enumerate(labelled_frames)]
    for suffix in ("db", "aselmdb"):
        path = tmp_path / f"a.{suffix}"
        io.write(Dataset.from_frames(frames), path)
        with ase.db.connect(path) as database:
            rows = list(database.select(split="test"))
        assert [row.frame_id for row in rows] == [f.id for f in frames[:3]]
        assert rows[0].theory == "made-up"
        atoms = rows[2].toatoms()
        assert atoms.get_potential_energy() == frames[2].labels.energy
        np.testing.assert_array_equal(atoms.get_forces(), frames[2].labels.forces)
        stress = atoms.get_stress(voigt=False)
        np.testing.assert_allclose(stress, frames[2].labels.stress)


def test_a_set_changed_in_a_database_is_changed(tmp_path, labelled_frames):
    io.write(Dataset.from_frames(labelled_frames[:2]), tmp_path / "a.db")
    with ase.db.connect(tmp_path / "a.db") as database:
        database.update(2, split="test", quality="good")
    first, second = io.read(tmp_path / "a.db")
    assert (first.split, second.split, second.info) == (None, "test", {"quality": "good"})


def test_a_foreign_sqlite_file_stays_as_it_is(tmp_path):
    path = tmp_path / "foreign.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mine (n INTEGER)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"foreign\.db: is not an ASE database"):
        io.read(path)
    assert path.read_bytes() == before


def test_lmdb_without_its_extra_names_the_extra(tmp_path, monkeypatch, silicon):
    path = tmp_path / "a.aselmdb"
    monkeypatch.setitem(sys.modules, "ase_db_backends", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'trainspot\[lmdb\]'"):
        io.write(Dataset.from_frames([silicon]), path)
    assert not list(tmp_path.iterdir())
    path.write_bytes(b"")
    with pytest.raises(MissingExtraError, match=r"pip install 'trainspot\[lmdb\]'"):
        io.read(path)


def test_a_labelled_frame_of_md_keeps_its_labels(tmp_path, same):
    from trainspot.data.frames import Origin

    labels = Labels(-1.0, np.ones((1, 3)), np.eye(3), "pbe")
    frame = Frame.make([14], [[0, 0, 0]], np.eye(3) * 4, True, labels=labels, origin=Origin("md"))
    for suffix in ("db", "aselmdb", "extxyz"):
        io.write(Dataset.from_frames([frame]), tmp_path / f"a.{suffix}")
        same(Dataset.from_frames([frame]), io.read(tmp_path / f"a.{suffix}"))
