"""Reading ``PESData``: in chunks, several at once, loose or packed, and what is damaged."""

from __future__ import annotations

import io
import tracemalloc
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
from aiida.common.exceptions import ValidationError
from aiida.manage import get_manager
from aiida.orm import load_node

from aiida_trainspot.data import pes
from aiida_trainspot.data.pes import PESData
from trainspot.common.errors import DataError
from trainspot.data import hdf5
from trainspot.data.columns import EXTRA
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame

pytestmark = pytest.mark.usefixtures("aiida_profile")


def many(n_frames: int) -> Dataset:
    """Frames of two atoms, built as columns because one by one would take seconds."""
    pair = Frame.make([14, 14], [[0, 0, 0], [0, 0, 2.3]], info={"a": 1}, split="test")
    few = Dataset.from_frames([pair, Frame.make([1], [[0, 0, 0]])])
    return few.take(np.arange(n_frames) % 2)


@pytest.fixture
def frames(labelled_frames, silicon):
    rest = [silicon, Frame.make([32], [[0, 0, 0]], info={"a": np.arange(3)})]
    return [
        *(f.with_(split=("train", "test")[i % 2]) for i, f in enumerate(labelled_frames)),
        *rest,
    ]


@pytest.fixture
def node(frames):
    return PESData(frames).store()


# ── iterating ─────────────────────────────────────────────────────────────────
def test_iterators_are_independent(node, frames):
    ids = [frame.id for frame in frames]
    pairs = [(one.id, other.id) for one in node for other in node]
    assert pairs == [(one, other) for one in ids for other in ids]
    first, second = iter(node), iter(node)
    assert [next(first).id, next(second).id, next(first).id] == [ids[0], ids[0], ids[1]]
    first.close()  # given up half-way: the other goes on
    assert [frame.id for frame in second] == ids[1:]


def test_iterating_a_part_of_the_frames(node, frames):
    assert [f.id for f in node.frames(split="train")] == [f.id for f in frames[:12:2]]
    assert [f.id for f in node.frames(labelled=False)] == [f.id for f in frames[12:]]
    assert [f.id for f in node.frames(split="test", labelled=True)] == [
        f.id for f in frames[1:12:2]
    ]
    assert [len(chunk) for chunk in node.chunks(5)] == [5, 5, 4]


def peak(work) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("way", ["chunks", "labelled", "file"])
def test_memory_does_not_grow_with_the_number_of_frames(way, tmp_path):
    """What numpy holds at the same time; three times the frames, the same chunk."""
    peaks = []
    for number in (40_000, 120_000):
        node, path = PESData(many(number)), tmp_path / f"{number}.h5"
        work = {
            "chunks": lambda node=node: [len(chunk) for chunk in node.chunks()],
            "labelled": node.labelled,  # none is: nothing is to be kept
            "file": lambda node=node, path=path: node.write(path),
        }[way]
        work()
        peaks.append(peak(work))
        size = sum(column.nbytes for column in many(number).columns.values())
    assert peaks[1] < 1.1 * peaks[0]
    assert peaks[1] < size / 5


def test_only_the_chunk_is_read(monkeypatch):
    """A counting file: the second chunk costs what the first one did, not the file."""
    content = io.BytesIO()
    node = PESData(many(50_000))
    with node.base.repository.open(node.FILENAME, "rb") as handle:
        content.write(handle.read())

    class Counting(io.BytesIO):
        total = 0

        def readinto(self, buffer):
            count = super().readinto(buffer)
            type(self).total += count
            return count

    monkeypatch.setattr(node.base.repository, "open", lambda *_: Counting(content.getvalue()))
    chunks = node.chunks(500)
    counts = []
    for _ in range(4):
        next(chunks)
        counts.append(Counting.total)
    steps = [after - before for before, after in pairwise(counts)]
    assert max(steps) < 0.03 * len(content.getvalue())
    assert counts[0] < 0.2 * len(content.getvalue())  # offsets are checked when it is opened


def test_one_slice_reads_no_other_frames(monkeypatch, node, frames):
    monkeypatch.setattr(Dataset, "column", None)
    assert [f.id for f in node[3:6]] == [f.id for f in frames[3:6]]
    assert node[-1].id == frames[-1].id


# ── the layout is known ───────────────────────────────────────────────────────
def everything(node) -> dict:
    with node.opened() as dataset:
        columns = {name: dataset.columns[name][...].tolist() for name in dataset.columns}
    whole = {name: values.tolist() for name, values in node.dataset.columns.items()}
    assert whole == columns
    return columns


def test_a_node_is_read_without_asking_hdf5(monkeypatch, frames):
    node = PESData(frames).store()
    expected = {n: v.tolist() for n, v in Dataset.from_frames(frames).columns.items()}
    monkeypatch.setattr(h5py, "File", None)
    assert everything(load_node(node.pk)) == expected


def test_a_node_whose_layout_is_not_known_is_read_by_hdf5(monkeypatch, frames):
    expected = everything(PESData(frames).store())
    with monkeypatch.context() as before:
        before.setattr(pes, "layout", lambda _: None)
        node = PESData(frames).store()
    assert node.base.attributes.get("layout") is None
    assert everything(load_node(node.pk)) == expected


def test_a_node_from_before_layouts_can_be_cloned(monkeypatch, frames):
    with monkeypatch.context() as before:
        before.setattr(pes, "layout", lambda _: None)
        node = PESData(frames)
        node.base.attributes.delete("layout")
        node.store()
    clone = load_node(node.pk).clone().store()
    assert everything(clone) == everything(node)


def test_an_empty_node_is_read_without_hdf5_too(monkeypatch):
    node = PESData().store()
    monkeypatch.setattr(h5py, "File", None)
    assert len(node.dataset) == len(list(node)) == 0


# ── packed repositories ───────────────────────────────────────────────────────
@pytest.mark.parametrize("compress", [False, True], ids=["plain", "compressed"])
def test_a_maintained_repository_is_read_the_same(monkeypatch, frames, compress):
    node = PESData([*frames, *many(40)]).store()
    expected = {n: node.column(n).tolist() for n in ("energy", "positions", "id")}
    storage = get_manager().get_profile_storage()
    storage.maintain(full=True, compress=compress)
    container = storage.get_repository()._container
    assert container.count_objects().loose == 0
    with node.base.repository.open(node.FILENAME, "rb") as handle, pytest.raises(Exception):  # noqa: B017, PT011
        handle.fileno()  # no plain file any more
    again = load_node(node.pk)
    assert again.dataset.ids == node.ids
    assert {n: again.column(n).tolist() for n in expected} == expected
    assert again[12].id == frames[12].id
    assert again.by_id(frames[3].id).labels.energy == frames[3].labels.energy
    nested = [
        (a.id, b.id) for a in again.frames(split="train") for b in again.frames(split="train")
    ]
    assert len(nested) == 36
    assert len(set(nested)) == 36
    with monkeypatch.context() as without:
        without.setattr(h5py, "File", None)
        assert everything(again)["energy"] == expected["energy"]
    clone = again.clone().store()  # validated once more
    assert clone.base.caching.get_hash() == node.base.caching.get_hash()


# ── damaged and foreign files ─────────────────────────────────────────────────
def spoilt(path, change) -> bytes:
    with h5py.File(path, "r+") as file:
        change(file)
    return path.read_bytes()


def replace(name, values):
    def change(file):
        data = values(file[name][...])
        del file[name]
        file[name] = data

    return change


def at(name, place, value):
    return lambda file: file[name].__setitem__(place, value)


DAMAGE = {
    "foreign": (lambda file: file.attrs.__delitem__("format"), "not a trainspot dataset"),
    "newer": (lambda file: file.attrs.__setitem__("format_version", 2), "newer trainspot"),
    "no version": (lambda file: file.attrs.__delitem__("format_version"), "unknown layout 0"),
    "missing": (lambda file: file.__delitem__("energy"), "column 'energy' is missing"),
    "more": (lambda file: file.__setitem__("mine", [1]), "unknown column 'mine'"),
    "short": (replace("forces", lambda v: v[:-1]), "column 'forces' is damaged"),
    "type": (replace("energy", lambda v: v.astype("f4")), "column 'energy' is damaged"),
    "offsets end": (at("offsets", -1, 10**6), "column 'offsets' is damaged"),
    "offsets fall": (at("offsets", 2, -5), "column 'offsets' is damaged"),
    "offsets start": (at("offsets", 0, 1), "column 'offsets' is damaged"),
    "texts": (at("info_offsets", 1, 10**6), "column 'info_offsets' is damaged"),
    "no atoms": (at("offsets", 1, 0), "a frame has no atoms"),
    "position": (at("positions", (0, 0), np.nan), "'positions' holds a number that is not finite"),
    "cell": (at("cell", (0, 0, 0), np.inf), "'cell' holds a number that is not finite"),
    "energy": (at("energy", 0, np.nan), "'energy' holds a number that is not finite"),
    "force": (at("forces", (9, 1), np.inf), "'forces' holds a number that is not finite"),
    "stress": (at("stress", (0, 0, 0), np.nan), "'stress' holds a number that is not finite"),
    "element": (at("numbers", 0, 0), "unknown element"),
    "set": (at("split", 0, 9), "unknown split"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_is_damaged_or_foreign_is_refused(frames, tmp_path, kind):
    """As a file and in a node, in one line that says what and where."""
    change, message = DAMAGE[kind]
    path = tmp_path / "bad.h5"
    hdf5.write(Dataset.from_frames(frames), path)
    content = spoilt(path, change)
    with pytest.raises(DataError, match=message) as refused:
        PESData.from_file(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)
    node = PESData(frames)
    node.base.repository.put_object_from_filelike(io.BytesIO(content), PESData.FILENAME)
    with pytest.raises(ValidationError, match=message) as refused:
        node.store()
    assert str(refused.value).startswith("PESData<unstored>: ")
    assert not node.is_stored


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (at("positions", (0, 0), 0.25), "the id of frame 1 is not that of its geometry"),
        (at("numbers", -1, 14), "the id of frame 14 is not that of its geometry"),
        (at("info", 0, 255), "the texts of frame 14 are damaged"),
        (at("strategy", 3, b"\xff"), "column 'strategy' holds a damaged text"),
    ],
)
def test_a_file_that_was_changed_after_it_was_written_is_refused(frames, tmp_path, change, message):
    path = tmp_path / "bad.h5"
    hdf5.write(Dataset.from_frames(frames), path)
    spoilt(path, change)
    with pytest.raises(DataError, match=message):
        PESData.from_file(path)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_was_cut_off_is_refused(frames, tmp_path, share):
    path = tmp_path / "cut.h5"
    hdf5.write(Dataset.from_frames(frames), path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"cut\.h5: not an HDF5 file, or damaged"):
        PESData.from_file(path)


def test_a_block_that_cannot_be_decompressed_is_refused(frames, tmp_path):
    """Written by somebody else, with compression, and damaged where only reading finds it."""
    path = tmp_path / "packed.h5"
    dataset = Dataset.from_frames(frames)
    with h5py.File(path, "w") as file:
        file.attrs["format"], file.attrs["format_version"] = hdf5.FORMAT, hdf5.FORMAT_VERSION
        for name in dataset.columns:
            packed = {} if name.startswith(EXTRA) else {"compression": "gzip", "chunks": True}
            file.create_dataset(name, data=dataset.column(name), **packed)
        chunk = file["forces"].id.get_chunk_info(0)
    assert PESData.from_file(path).dataset.ids == dataset.ids  # and it is good so far
    content = bytearray(path.read_bytes())
    start = chunk.byte_offset
    content[start : start + chunk.size] = b"\0" * chunk.size
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        PESData.from_file(path)


def test_a_stored_node_whose_file_was_damaged_or_lost_names_itself(frames):
    node = PESData(frames[::-1]).store()  # a file of its own: no other node shares it
    with node.base.repository.open(node.FILENAME, "rb") as handle:
        path = Path(handle.name)
    path.chmod(0o600)
    path.write_bytes(b"\x89HDF nothing")
    for read in (lambda: next(iter(node)), lambda: node.dataset):
        with pytest.raises(DataError, match=rf"PESData<{node.pk}>: damaged HDF5 file"):
            read()
    path.unlink()
    for read in (lambda: next(iter(node)), lambda: node.dataset):
        with pytest.raises(DataError, match=rf"PESData<{node.pk}>: .* missing from the AiiDA rep"):
            read()
