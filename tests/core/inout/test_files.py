"""Reading what users have, and writing extended XYZ that comes back bit for bit."""

from __future__ import annotations

import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import given
from hypothesis import strategies as st

from trainspot import io
from trainspot.common.errors import DataError, InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.io.atoms import DERIVED_INFO, RESERVED

VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=12),
    st.lists(st.one_of(st.integers(0, 9), st.text(max_size=3), st.none()), max_size=3),
)
KEYS = st.text(min_size=1, max_size=8).filter(lambda key: key not in RESERVED | DERIVED_INFO)


def same(first: Dataset, second: Dataset) -> None:
    assert set(first.columns) == set(second.columns)
    for name in first.columns:
        np.testing.assert_array_equal(first.column(name), second.column(name), err_msg=name)


@given(info=st.dictionaries(KEYS, VALUES, max_size=4), number=st.floats(-1e6, 1e6))
def test_metadata_and_numbers_survive_extxyz(tmp_path_factory, info, number):
    path = tmp_path_factory.mktemp("xyz") / "frames.extxyz"
    forces = np.array([[number, number / 3, 1e-17]])
    labels = Labels(number, forces, np.full((3, 3), number / 7), "theory")
    frame = Frame.make([14], [[0.1, 0.2, 1 / 3]], np.eye(3) * 5, True, labels=labels, info=info)
    io.write(Dataset.from_frames([frame]), path)
    same(Dataset.from_frames([frame]), io.read(path))


def test_everything_a_frame_has_survives_extxyz(tmp_path, rng):
    origin = Origin("rattle", "1" * 64, {"scale": [1.5, 2]}, 2**62 + 1, "77", 3)
    extras = {
        "spin": np.array([1, 2], np.int32),
        "v": rng.random((2, 3)),
        "b": np.array([1, 0], bool),
    }
    frame = Frame.make(
        [14, 8], rng.random((2, 3)), np.eye(3) * 4, [True, True, False],
        origin=origin, split="validation", arrays=extras, info={"a": np.arange(4).reshape(2, 2)},
        labels=Labels(forces=rng.random((2, 3)), theory="42"),
    )  # fmt: skip
    dataset = Dataset.from_frames([frame, frame.with_(arrays={}, split=None, labels=Labels())])
    for name in ("frames.extxyz", "frames.h5"):
        io.write(dataset, tmp_path / name)
        same(dataset, io.read(tmp_path / name))


def test_plain_ase_reads_what_we_write(tmp_path, labelled_frames):
    io.write(Dataset.from_frames(labelled_frames), tmp_path / "frames.extxyz")
    atoms = ase.io.read(tmp_path / "frames.extxyz", index=":")
    assert len(atoms) == len(labelled_frames)
    np.testing.assert_allclose(atoms[3].arrays["REF_forces"], labelled_frames[3].labels.forces)
    assert atoms[3].info["REF_energy"] == labelled_frames[3].labels.energy
    assert atoms[3].info["frame_id"] == labelled_frames[3].id


def test_calculator_results_are_labels(tmp_path):
    atoms = bulk("Si")
    results = {"energy": -1.5, "forces": np.ones((2, 3)), "stress": np.arange(6.0)}
    atoms.calc = SinglePointCalculator(atoms, **results)
    ase.io.write(tmp_path / "si.extxyz", atoms)
    frame = io.read(tmp_path / "si.extxyz", theory="PBE, 2 Å⁻¹")[0]
    assert frame.labels.energy == -1.5
    assert frame.labels.theory == "PBE, 2 Å⁻¹"
    np.testing.assert_allclose(frame.labels.stress, [[0, 5, 4], [5, 1, 3], [4, 3, 2]])
    assert not {"energy", "stress"} & frame.info.keys()


def test_labels_without_a_name_get_one_beside_those_that_have_one(silicon):
    frames = [
        Frame.make([32], [[0, 0, shift]], labels=Labels(energy=-1.0, theory=theory))
        for shift, theory in enumerate(["", "hängt", ""])
    ]
    named = io.with_theory(Dataset.from_frames([silicon, *frames]), "täglich")
    assert named.counts("theory") == {"": 1, "täglich": 2, "hängt": 1}


def test_predictions_in_a_trajectory_are_no_labels(tmp_path):
    atoms = bulk("Si")
    atoms.calc = SinglePointCalculator(atoms, energy=-1.5, forces=np.ones((2, 3)))
    atoms.info |= {"strategy": "md", "frame_id": Frame.from_atoms(atoms).id}
    ase.io.write(tmp_path / "t.extxyz", atoms)
    assert not io.read(tmp_path / "t.extxyz")[0].labels


def test_the_energy_that_belongs_to_the_forces_is_read():
    atoms = bulk("Al")
    atoms.calc = SinglePointCalculator(
        atoms, energy=-3.70, free_energy=-3.75, forces=np.zeros((1, 3))
    )
    assert io.from_ase(atoms).labels.energy == -3.75


def test_to_ase_and_back(labelled_frames):
    frame = labelled_frames[0].with_(origin=Origin("vacancies", "b" * 64, seed=3), split="test")
    back = io.from_ase(io.to_ase(frame))
    assert (back.id, back.split, back.origin.strategy, back.origin.seed) == (
        frame.id, "test", "vacancies", 3,
    )  # fmt: skip
    np.testing.assert_array_equal(back.labels.forces, frame.labels.forces)


@pytest.mark.parametrize("suffix", ["cif", "vasp", "xyz", "json"])
def test_reads_what_users_have(tmp_path, suffix):
    atoms = bulk("Si", cubic=True)
    path = tmp_path / f"si.{suffix}"
    ase.io.write(path, atoms)
    frame = io.read(path)[0]
    assert sorted(frame.numbers) == [14] * 8
    assert frame.pbc.all() == (suffix != "xyz") or frame.pbc.all()
    np.testing.assert_allclose(frame.to_atoms().get_volume(), atoms.get_volume(), rtol=1e-4)


def test_partially_occupied_cif_is_refused(tmp_path):
    atoms = bulk("Si", cubic=True)
    atoms.info["occupancy"] = {"0": {"Si": 0.5}}
    with pytest.raises(InputError, match="partially occupied"):
        io.from_ase(atoms)


PLAIN = "Properties=species:S:1:pos:R:3"
OURS = "trainspot="
INFO, ARRAYS = r"\"info\":{\"dipole\":1}", r"\"arrays\":{\"a\":{}}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.cif", None, "no such file"),
        ("broken.cif", "not a cif", "cannot be read as a structure .CIF-file: it is damaged"),
        ("note.pdf", "not a structure", "unknown suffix '.pdf': ASE reads no format"),
        ("empty.extxyz", "", "contains no structure|cannot be read"),
        ("broken.extxyz", "2\nLattice\nSi 0 0\n", "z:1, structure 1: has 1 of its 2 atoms"),
        ("broken.h5", "nonsense", "not an HDF5 file"),
        ("nan.extxyz", "1\n\nSi nan 0 0\n", "not finite"),
        ("latin.extxyz", b"1\n\nSi 0 0 0\n1\nnote=\xe9\nSi 0 0 0\n", "z:5: is not UTF-8"),
        ("text.extxyz", f"1\n{PLAIN}:force:S:3\nH 0 0 0 b c d\n", "'force' is not num"),
        ("twice.extxyz", f'1\ndipole="1 2 3" {OURS}"{{{INFO}}}"\nH 0 0 0\n', "given twice"),
        ("list.extxyz", f'1\n{OURS}"[]"\nSi 0 0 0\n', "'trainspot' is damaged"),
        ("arrays.extxyz", f'1\n{OURS}"{{{ARRAYS}}}"\nSi 0 0 0\n', "'trainspot' is damaged"),
        ("text.db", "no database", "cannot be read"),
        ("empty.db", "", "is not an ASE database"),
        ("text.aselmdb", "no database", "is not an LMDB database"),
        ("text.json", "[]", "cannot be read"),
        ("seed.extxyz", "1\nseed=abc\nSi 0 0 0\n", "'seed' must be a whole number, not 'abc'"),
        ("own.extxyz", '1\ntrainspot="{"\nSi 0 0 0\n', "'trainspot' is damaged"),
        ("set.extxyz", '1\nsplit="holdout"\nSi 0 0 0\n', "unknown split 'holdout'"),
    ],
)
def test_bad_files_get_one_clear_line(tmp_path, name, content, message):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message) as caught:
        io.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == ([] if content is None else [path])
    assert content is None or path.read_bytes() in (content, str(content).encode())


@pytest.mark.parametrize("suffix", ["h5", "db", "aselmdb"])
def test_files_that_are_cut_off_get_one_clear_line(tmp_path, labelled_frames, suffix):
    path = tmp_path / f"a.{suffix}"
    io.write(Dataset.from_frames(labelled_frames), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"a\.{suffix}: (is cut off|cannot be read|not an HDF5)"):
        io.read(path)


@pytest.mark.parametrize(
    ("column", "row", "value", "message"),
    [
        ("positions", 0, 0.25, "the id of frame 1 is not that of its geometry"),
        ("info", -1, 255, "the texts of frame 3 are damaged"),
    ],
)
def test_a_frame_that_was_changed_after_it_was_written_is_named(
    tmp_path, column, row, value, message
):
    path = tmp_path / "x.h5"
    places = [[[0, 0, 0], [0, 0, 2.2 + i]] for i in range(3)]
    io.write(Dataset.from_frames(Frame.make([14, 6], p, info={"a": 1}) for p in places), path)
    with h5py.File(path, "r+") as file:
        file[column][row] = value
    with pytest.raises(DataError, match=rf"x\.h5: {message}"):
        io.read(path)
    with pytest.raises(DataError, match=rf"x\.h5: {message}"), io.opened(path):
        pass


def test_a_folder_is_called_one(tmp_path):
    for opening in (io.read, lambda path: io.opened(path).__enter__()):
        with pytest.raises(InputError, match="is a folder, not a file"):
            opening(tmp_path)


def test_the_structure_at_fault_is_named(tmp_path):
    (tmp_path / "two.extxyz").write_text("1\n\nSi 0 0 0\n1\n\nSi inf 0 0\n")
    with pytest.raises(InputError, match="structure 2"):
        io.read(tmp_path / "two.extxyz")


def test_unknown_suffix_is_refused(tmp_path, silicon):
    dataset = Dataset.from_frames([silicon])
    with pytest.raises(InputError, match=r"unknown dataset suffix '\.dat'"):
        io.write(dataset, tmp_path / "a.dat")
    with pytest.raises(InputError, match="unknown dataset suffix"):
        io.check_output(tmp_path / "a.dat")
    with pytest.raises(InputError, match="no such folder"):
        io.check_output(tmp_path / "nowhere" / "a.h5")
    assert io.check_output(tmp_path / "a.h5") == tmp_path / "a.h5"


def test_metadata_that_cannot_be_kept_is_refused():
    atoms = Atoms("H", info={"object": object()})
    with pytest.raises(InputError, match="cannot be kept losslessly"):
        io.from_ase(atoms)
