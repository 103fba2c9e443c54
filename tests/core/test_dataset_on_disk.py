"""Frames of a dataset on disk: the same as in memory, one by one, and nothing kept with them."""

from __future__ import annotations

import numpy as np
import pytest

from trainspot.data import columns, hdf5
from trainspot.data.dataset import CHUNK, Dataset
from trainspot.data.frames import Frame, Origin


@pytest.fixture(scope="module")
def many() -> Dataset:
    """More frames than a chunk holds, with texts of both kinds, some without any."""
    rng = np.random.default_rng(1)
    frames = [
        Frame.make(
            rng.integers(1, 90, size := int(rng.integers(1, 30))),
            rng.uniform(0, 9, (size, 3)),
            info={"number": index} if index % 3 else {},
            origin=Origin("rattle", "", {"copy": index} if index % 2 else {}),
            arrays={"q": rng.normal(size=size)} if index % 5 else {},
        )
        for index in range(CHUNK + 40)
    ]
    return Dataset.from_frames(frames)


@pytest.mark.parametrize("kept", [0, 600, 1 << 16], ids=["nothing", "texts of a few", "all"])
def test_frames_are_the_same_whatever_a_chunk_keeps(many, tmp_path, monkeypatch, kept):
    hdf5.write(many, tmp_path / "x.h5")
    monkeypatch.setattr(columns, "_KEPT", kept)
    rows = [0, 1, CHUNK - 1, CHUNK, CHUNK + 7, len(many) - 1, 33]
    with hdf5.opened(tmp_path / "x.h5") as dataset:
        found = Dataset.from_frames([dataset[row] for row in rows])
        again = Dataset.from_frames(dataset)
    for name in many.columns:
        assert np.array_equal(found.column(name), many.take(rows).column(name)), name
        assert np.array_equal(again.column(name), many.column(name)), name


def held(array) -> int:
    """Bytes that stay in memory as long as an array does."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.nbytes if array.base is None else len(array.base)


@pytest.mark.parametrize("way", ["one by one", "in order"])
def test_a_frame_from_disk_keeps_no_other_in_memory(many, tmp_path, way):
    hdf5.write(many, tmp_path / "x.h5")
    with hdf5.opened(tmp_path / "x.h5") as dataset:
        for frame in dataset if way == "in order" else [dataset[7], dataset[CHUNK + 1]]:
            arrays = [frame.numbers, frame.positions, frame.cell, frame.pbc, *frame.arrays.values()]
            assert [held(array) for array in arrays] == [array.nbytes for array in arrays]
            assert not any(array.flags.writeable for array in arrays[:4])
