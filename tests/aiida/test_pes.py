"""``PESData``: one node, hashed by content, validated when stored, read lazily."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest
from aiida import orm
from aiida.common.exceptions import ModificationNotAllowed, ValidationError
from aiida.common.links import LinkType
from aiida.orm import SinglefileData, load_node
from aiida.plugins import DataFactory
from ase import Atoms
from ase.build import bulk

from aiida_trainspot.data.pes import PESData
from trainspot.common.errors import DataError, InputError
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.data.hdf5_columns import StoredColumn
from trainspot.data.lattice import periodic_projector
from trainspot.predictions.accuracy import accuracy
from trainspot.predictions.predictions import Predictions

pytestmark = pytest.mark.usefixtures("aiida_profile")


@pytest.fixture
def frames(labelled_frames):
    return [*labelled_frames, Frame.make([32], [[0, 0, 0]], info={"a": np.arange(3)})]


def test_the_entry_point_names_the_class():
    assert DataFactory("trainspot.pes") is PESData


@pytest.mark.parametrize("stored", [False, True], ids=["unstored", "stored"])
def test_frames_come_back(frames, stored):
    node = PESData(frames)
    if stored:
        node = orm.load_node(node.store().pk)
    assert [f.id for f in node.dataset] == [f.id for f in frames]
    assert node.dataset[12].info["a"].tolist() == [0, 1, 2]
    assert np.array_equal(node.dataset[3].labels.forces, frames[3].labels.forces)


def test_summaries_need_no_file(frames, monkeypatch):
    node = PESData(Dataset.from_frames(frames)).store()
    monkeypatch.setattr(hdf5, "opened", None)
    monkeypatch.setattr(hdf5, "read", None)
    assert (len(node), node.n_labelled, node.species) == (13, 12, ["Si", "Ge"])
    told = node.base.attributes.all
    assert set(told.pop("layout")) == set(Dataset.from_frames(frames).columns)
    assert told == {
        "n_frames": 13,
        "n_labelled": 12,
        "n_atoms": 97,
        "species": ["Si", "Ge"],
        "theories": ["made-up"],
    }


def test_an_empty_dataset_is_a_node(aiida_profile):
    node = PESData().store()
    assert len(node) == len(node.dataset) == 0


# ── identity ──────────────────────────────────────────────────────────────────
def test_equal_datasets_have_equal_hashes(frames):
    one, other = PESData(frames), PESData(Dataset.from_frames(list(Dataset.from_frames(frames))))
    assert one.uuid != other.uuid
    assert one.store().base.caching.get_hash() == other.store().base.caching.get_hash()


@pytest.mark.parametrize("change", ["order", "label", "split", "info"])
def test_different_datasets_have_different_hashes(frames, change):
    others = {
        "order": frames[::-1],
        "label": [frames[0].with_(labels=frames[1].labels), *frames[1:]],
        "split": [frames[0].with_(split="train"), *frames[1:]],
        "info": [frames[0].with_(info={"a": 1}), *frames[1:]],
    }
    one, other = PESData(frames).store(), PESData(others[change]).store()
    assert one.base.caching.get_hash() != other.base.caching.get_hash()


def test_a_process_with_an_equal_dataset_has_the_same_hash(frames):
    def calculation(dataset):
        node = orm.CalcJobNode()
        node.base.links.add_incoming(dataset.store(), LinkType.INPUT_CALC, "dataset")
        return node.store().base.caching.get_hash()

    assert calculation(PESData(frames)) == calculation(PESData(frames))
    assert calculation(PESData(frames)) != calculation(PESData(frames[::-1]))


def test_a_clone_holds_the_same_frames(frames):
    node = PESData(frames).store()
    clone = node.clone()
    assert clone.uuid != node.uuid
    assert clone.dataset.ids == node.dataset.ids
    assert len(clone) == 13
    assert clone.store().base.caching.get_hash() == node.base.caching.get_hash()


# ── storing ───────────────────────────────────────────────────────────────────
def damaged(node: PESData, content: bytes) -> PESData:
    node.base.repository.put_object_from_filelike(io.BytesIO(content), PESData.FILENAME)
    return node


def test_a_damaged_file_cannot_be_stored(frames):
    with pytest.raises(ValidationError, match="not an HDF5 file"):
        damaged(PESData(frames), b"nothing").store()
    with PESData(frames).base.repository.open(PESData.FILENAME, "rb") as handle:
        content = handle.read()
    with pytest.raises(ValidationError, match="damaged"):
        damaged(PESData(frames), content[: len(content) // 2]).store()


def test_a_file_with_nonsense_numbers_cannot_be_stored(frames, tmp_path):
    hdf5.write(Dataset.from_frames(frames), tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["energy"][0] = np.nan
    with pytest.raises(ValidationError, match="not finite"):
        damaged(PESData(frames), (tmp_path / "x.h5").read_bytes()).store()


@pytest.mark.parametrize(
    "name", ["n_frames", "n_labelled", "n_atoms", "species", "theories", "layout"]
)
def test_attributes_that_disagree_with_the_file_cannot_be_stored(frames, name):
    node = PESData(frames)
    node.base.attributes.set(name, 3 if name.startswith("n_") else ["Xx"])
    with pytest.raises(ValidationError, match=f"'{name}' does not agree"):
        node.store()


def test_a_node_holds_one_file_only(frames):
    node = PESData(frames)
    node.base.repository.put_object_from_filelike(io.BytesIO(b"x"), "other.txt")
    with pytest.raises(ValidationError, match="exactly one file"):
        node.store()
    node = PESData(frames)
    node.base.repository.delete_object(PESData.FILENAME)
    with pytest.raises(ValidationError, match="exactly one file"):
        node.store()


def test_a_stored_node_cannot_be_changed(frames):
    node = PESData(frames).store()
    with pytest.raises(ModificationNotAllowed):
        damaged(node, b"")


def test_from_file(frames, tmp_path):
    hdf5.write(Dataset.from_frames(frames), tmp_path / "any-name.h5")
    node = PESData.from_file(tmp_path / "any-name.h5")
    assert node.base.repository.list_object_names() == ["dataset.h5"]
    assert node.store().base.caching.get_hash() == PESData(frames).store().base.caching.get_hash()
    (tmp_path / "bad.h5").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"bad\.h5"):
        PESData.from_file(tmp_path / "bad.h5")


# ── questions ─────────────────────────────────────────────────────────────────
@pytest.fixture
def mixed(frames):
    """Labelled and unlabelled frames in three sets, an isolated atom, a made frame."""
    sets = ["train", "validation", "test"]
    frames = [frame.with_(split=sets[k % 3]) for k, frame in enumerate(frames)]
    atom = Frame.make([14], [[0, 0, 0]], labels=Labels(-3.5, [[0, 0, 0]], theory="made-up"))
    made = frames[0].with_(labels=Labels(), origin=Origin("rattle", frames[0].id), split=None)
    made = Frame.make(made.numbers, made.positions + 0.1, made.cell, True, origin=made.origin)
    return [*frames, atom, made]


def test_one_frame_or_several(mixed):
    node = PESData(mixed)
    assert node[3].id == mixed[3].id
    assert node[-1].origin.parent == mixed[0].id
    assert node[np.array([4, 1])].ids == [mixed[4].id, mixed[1].id]
    assert node[::5].ids == [frame.id for frame in mixed[::5]]
    assert node.by_id(mixed[7].id).labels.energy == mixed[7].labels.energy
    assert mixed[7] in node
    assert mixed[7].id in node
    assert "0" * 64 not in node
    with pytest.raises(ValueError, match="no frame 000000000000"):
        node.by_id("0" * 64)
    with pytest.raises(IndexError):
        node[99]


def test_selections_are_those_of_the_dataset(mixed):
    node, data = PESData(mixed), Dataset.from_frames(mixed)
    ids = [mixed[9].id, mixed[2].id]
    for name, found, expected in (
        ("labelled", node.labelled(), data.labelled()),
        ("unlabelled", node.unlabelled(), data.unlabelled()),
        ("train", node.subset("train"), data.subset("train")),
        ("test", node.subset("test"), data.subset("test")),
        ("filter", node.filter(lambda f: len(f) == 1), data.filter(lambda f: len(f) == 1)),
        ("select", node.select(ids), data.select(ids)),
        ("merge", node.merge(PESData(mixed[:3])), data),
        ("concatenate", PESData.concatenate([node, node]), Dataset.concatenate([data, data])),
    ):
        assert found.ids == expected.ids, name
        assert len(expected), name
        assert found.column("theory").tolist() == expected.column("theory").tolist(), name
    with pytest.raises(ValueError, match="no frame"):
        node.select(["0" * 64])


def test_figures_of_a_node(mixed):
    node = PESData(mixed)
    assert node.e0s() == {14: -3.5}
    assert node.theories == ["made-up"]
    assert node.ids == [frame.id for frame in mixed]
    assert node.counts("strategy") == {"input": 14, "rattle": 1}
    assert node.column("energy")[0] == mixed[0].labels.energy


def test_metadata_belongs_to_the_node(frames):
    told = {"source": "doi:10.1/x", "cutoffs": {"ecutwfc": 60.0}, "rmse": [0.1, 0.2]}
    node = load_node(PESData(frames, metadata=told).store().pk)
    assert node.metadata == told
    assert PESData(frames).metadata == {}
    assert node.clone().metadata == told
    assert node.base.caching.get_hash() != PESData(frames).store().base.caching.get_hash()
    node.metadata["source"] = "another"
    assert node.metadata == told
    with pytest.raises(ValidationError):
        PESData(frames, metadata={"a": object()}).store()


def test_accuracy_by_object_node_or_file(mixed, tmp_path, rng):
    known = Dataset.from_frames(mixed[:12])

    def near(name):
        return known.column(name) + rng.normal(size=(3, *known.column(name).shape))

    projector = periodic_projector(known.column("cell"), known.column("pbc"))
    predictions = Predictions(
        known.column("id"), known.column("offsets"), near("energy"), near("forces"),
        near("stress"), projector, ("a", "b", "c"),
    )  # fmt: skip
    predictions.write(tmp_path / "p.h5")
    node = PESData(mixed)
    expected = accuracy(node.dataset, predictions)
    assert expected.predicted.tolist() == [True] * 12 + [False] * 3
    given = (
        predictions,
        SinglefileData(tmp_path / "p.h5"),
        tmp_path / "p.h5",
        str(tmp_path / "p.h5"),
    )
    for form in given:
        found = node.accuracy(form)
        assert np.array_equal(found.error["forces"], expected.error["forces"], equal_nan=True)
        assert np.array_equal(
            found.disagreement["energy"], expected.disagreement["energy"], equal_nan=True
        )
    with pytest.raises(DataError, match="no such file"):
        node.accuracy("none.h5")


# ── files and structures ──────────────────────────────────────────────────────
@pytest.mark.parametrize("suffix", [".h5", ".extxyz"])
def test_files_by_suffix(mixed, tmp_path, suffix):
    node = PESData(mixed)
    node.write(tmp_path / f"out{suffix}")
    back = PESData.from_file(tmp_path / f"out{suffix}", metadata={"from": suffix})
    assert back.metadata == {"from": suffix}
    assert [f.labels.energy for f in back] == [f.labels.energy for f in mixed]
    again = PESData(back.dataset)
    assert again.store().base.caching.get_hash() == node.store().base.caching.get_hash()


def test_a_file_of_another_program_gets_a_level_of_theory(tmp_path):
    atoms = bulk("Si", cubic=True)
    atoms.info["REF_energy"] = -40.0
    atoms.set_array("REF_forces", np.zeros((8, 3)))
    atoms.write(tmp_path / "theirs.xyz", format="extxyz")
    node = PESData.from_file(tmp_path / "theirs.xyz", theory="pbe")
    assert (node.n_labelled, node.theories) == (1, ["pbe"])
    assert PESData.from_ase([atoms], theory="pbe").ids == node.ids


def test_structures_of_ase(mixed):
    node = PESData(mixed)
    structures = node.to_ase()
    assert structures[3].info["REF_energy"] == mixed[3].labels.energy
    back = PESData.from_ase(structures)
    assert back.ids == node.ids
    assert back.dataset.column("parent").tolist() == node.dataset.column("parent").tolist()
    with pytest.raises(InputError, match="structure 2: a frame needs at least one atom"):
        PESData.from_ase([structures[0], Atoms()])


def test_what_cannot_be_written_or_read_is_refused(mixed, tmp_path):
    with pytest.raises(InputError, match="unknown dataset suffix"):
        PESData(mixed).write(tmp_path / "out.csv")
    with pytest.raises(InputError, match="no such file"):
        PESData.from_file(tmp_path / "none.h5")
    with pytest.raises(InputError, match="no such file"):
        PESData.from_file(tmp_path / "none.extxyz")
    assert not list(tmp_path.iterdir())


# ── reading ───────────────────────────────────────────────────────────────────
def test_reading_is_lazy_and_ends_with_the_block(frames):
    node = PESData(frames).store()
    with node.opened() as dataset:
        assert isinstance(dataset.columns["positions"], StoredColumn)
        assert dataset[12].numbers.tolist() == [32]
        kept = dataset[2]
    assert kept.id == frames[2].id  # what was read stays
    with pytest.raises(ValueError, match="closed"):
        _ = dataset.columns["positions"][:1]


def test_a_node_can_be_an_input(frames):
    node = PESData(frames).store()
    calculation = orm.CalcFunctionNode()
    calculation.base.links.add_incoming(node, LinkType.INPUT_CALC, "dataset")
    calculation.store()
    assert calculation.inputs.dataset.dataset.ids == [f.id for f in frames]
