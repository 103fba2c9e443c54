"""``PESData``: one node, hashed by content, validated when stored, read lazily."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest
from aiida import orm
from aiida.common.exceptions import ModificationNotAllowed, ValidationError
from aiida.common.links import LinkType
from aiida.manage import get_manager
from aiida.plugins import DataFactory

from aiida_trainspot.data.pes import PESData
from trainspot import store
from trainspot.dataset import Dataset
from trainspot.errors import DataError
from trainspot.frames import Frame

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
    monkeypatch.setattr(store, "opened", None)
    monkeypatch.setattr(store, "read", None)
    assert (len(node), node.n_labelled, node.species) == (13, 12, ["Si", "Ge"])
    assert node.base.attributes.all == {
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
    store.write(Dataset.from_frames(frames), tmp_path / "x.h5")
    with h5py.File(tmp_path / "x.h5", "r+") as file:
        file["energy"][0] = np.nan
    with pytest.raises(ValidationError, match="not finite"):
        damaged(PESData(frames), (tmp_path / "x.h5").read_bytes()).store()


@pytest.mark.parametrize("name", ["n_frames", "n_labelled", "n_atoms", "species", "theories"])
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
    store.write(Dataset.from_frames(frames), tmp_path / "any-name.h5")
    node = PESData.from_file(tmp_path / "any-name.h5")
    assert node.base.repository.list_object_names() == ["dataset.h5"]
    assert node.store().base.caching.get_hash() == PESData(frames).store().base.caching.get_hash()
    (tmp_path / "bad.h5").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"bad\.h5"):
        PESData.from_file(tmp_path / "bad.h5")


# ── reading ───────────────────────────────────────────────────────────────────
def test_reading_is_lazy_and_ends_with_the_block(frames):
    node = PESData(frames).store()
    with node.opened() as dataset:
        assert isinstance(dataset.columns["positions"], h5py.Dataset)
        assert dataset[12].numbers.tolist() == [32]
        kept = dataset[2]
    assert kept.id == frames[2].id  # what was read stays
    assert not dataset.columns["positions"]  # the file is closed


def test_reading_from_a_packed_repository(frames):
    node = PESData(frames).store()
    container = get_manager().get_profile_storage().get_repository()._container
    container.pack_all_loose()
    container.clean_storage()
    assert container.count_objects().loose == 0
    with node.opened() as dataset:
        assert dataset[12].id == frames[12].id
        assert dataset.column("energy").tolist() == node.dataset.column("energy").tolist()
    assert orm.load_node(node.pk).dataset.ids == [f.id for f in frames]
    assert node.clone().store().base.caching.get_hash() == node.base.caching.get_hash()


def test_a_node_can_be_an_input(frames):
    node = PESData(frames).store()
    calculation = orm.CalcFunctionNode()
    calculation.base.links.add_incoming(node, LinkType.INPUT_CALC, "dataset")
    calculation.store()
    assert calculation.inputs.dataset.dataset.ids == [f.id for f in frames]
