"""Columns read where they lie: the same numbers as through HDF5, and where they cannot be."""

from __future__ import annotations

import json
import os
import tracemalloc

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainspot.data.hdf5_columns import StoredColumn, layout, placed, stored, whole

COLUMNS = {
    "reals": np.linspace(-1.0, 1.0, 24).reshape(8, 3),
    "matrices": np.arange(72, dtype=">i4").reshape(8, 3, 3),
    "bits": np.array([True, False] * 4),
    "texts": np.array([b"a", b"", b"bcd", b"x y", b"", b"e", b"f", b"gh"], dtype="S3"),
    "bytes": np.arange(8, dtype=np.uint8),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("stored") / "columns.h5"
    with h5py.File(path, "w") as file:
        for name, values in COLUMNS.items():
            file.create_dataset(name, data=values)
        file.create_dataset("packed", data=COLUMNS["reals"], compression="gzip")
        file.create_dataset("words", data=["long", "short"])
        file.create_dataset("unwritten", shape=(8,), dtype="f8")
        file.create_dataset("nothing", shape=(0, 3), dtype="f8")
        file.create_dataset("number", data=4.0)
        outside = [(path.with_name("outside.bin"), 0, h5py.h5f.UNLIMITED)]
        file.create_dataset("outside", data=COLUMNS["reals"], external=outside)
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_layout(h5py.h5d.COMPACT)
        space, kind = h5py.h5s.create_simple((8,)), h5py.h5t.NATIVE_DOUBLE
        h5py.h5d.create(file.id, b"compact", kind, space, layout)
        padded = h5py.h5t.STD_I16LE.copy()  # twelve bits, for which numpy has no type
        padded.set_precision(12)
        h5py.h5d.create(file.id, b"padded", padded, space)
        file["padded"][...] = 1
    return path


@pytest.fixture
def columns(path):
    with h5py.File(path, "r") as file, path.open("rb") as raw:
        yield {name: stored(file[name].id, raw) for name in file}


edges = st.one_of(st.none(), st.integers(-10, 10))


@given(st.sampled_from(sorted(COLUMNS)), edges, edges, st.integers(-8, 7))
def test_slices_are_those_of_the_array(path, name, start, stop, row):
    expected = COLUMNS[name]
    with h5py.File(path, "r") as file, path.open("rb") as raw:
        column = stored(file[name].id, raw)
        assert isinstance(column, StoredColumn)
        found = column[start:stop]
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected[start:stop])
        assert found.shape == expected[start:stop].shape
        assert np.array_equal(column[row], expected[row])
        assert np.array_equal(column[...], expected)
        assert np.array_equal(np.asarray(column), expected)
        assert (len(column), column.shape, column.ndim) == (8, expected.shape, expected.ndim)


def test_what_is_read_can_be_changed_without_harm(columns):
    columns["reals"][2:4][:] = 0.0
    assert np.array_equal(columns["reals"][...], COLUMNS["reals"])


@pytest.mark.parametrize("name", ["packed", "words", "unwritten", "outside", "compact", "padded"])
def test_what_does_not_lie_in_one_piece_is_left_to_hdf5(columns, name):
    assert isinstance(columns[name], h5py.Dataset)


def test_columns_can_be_placed_without_hdf5(columns, path):
    ours = {n: column for n, column in columns.items() if isinstance(column, StoredColumn)}
    assert set(ours) == {*COLUMNS, "nothing", "number"}
    told = json.loads(json.dumps(layout(ours)))
    with path.open("rb") as raw:
        found = placed(told, raw)
        single = found.pop("number")
        together = whole(found)
        for name, values in (COLUMNS | {"nothing": np.zeros((0, 3))}).items():
            assert found[name].dtype == values.dtype
            assert np.array_equal(found[name][...], values)
            assert np.array_equal(together[name], values)
            assert together[name].shape == values.shape
    assert (single.shape, single.dtype) == ((), np.float64)


def test_there_is_no_layout_where_hdf5_is_needed(columns):
    assert layout(columns) is None


def test_rows_that_do_not_exist_and_steps_are_refused(columns):
    with pytest.raises(IndexError):
        columns["reals"][8]
    with pytest.raises(IndexError, match="one after another"):
        columns["reals"][::2]
    with pytest.raises(ValueError, match="read anew"):
        np.array(columns["reals"], copy=False)
    with pytest.raises(TypeError, match="a single number has no rows"):
        len(columns["number"])


def test_bytes_that_are_no_truth_values_are_true(path, tmp_path):
    changed = tmp_path / "changed.h5"
    with h5py.File(path, "r") as file:
        offset = file["bits"].id.get_offset()
    content = bytearray(path.read_bytes())
    content[offset] = 7
    changed.write_bytes(content)
    with h5py.File(changed, "r") as file, changed.open("rb") as raw:
        found = stored(file["bits"].id, raw)[...]
    assert found.tobytes() == COLUMNS["bits"].tobytes()


def test_a_file_that_ends_too_early_is_an_error(columns, path, tmp_path):
    short = tmp_path / "short.h5"
    short.write_bytes(path.read_bytes()[: columns["reals"]._offset + 30])
    with h5py.File(path, "r") as file, short.open("rb") as raw:
        column = stored(file["reals"].id, raw)
        assert column[0].tolist() == COLUMNS["reals"][0].tolist()
        with pytest.raises(OSError, match="ends within a column"):
            column[1]


def at_most(size):
    """``os.preadv`` of a system that reads less than asked for, as Linux beyond 2 GB."""
    read = os.preadv
    return lambda file, buffers, offset: read(file, [buffers[0][:size]], offset)


def test_many_rows_are_read_in_place_and_checked_as_well(tmp_path, monkeypatch):
    path, short = tmp_path / "long.h5", tmp_path / "short.h5"
    expected = np.arange(40_000.0).reshape(-1, 2)
    with h5py.File(path, "w") as file:
        file["many"] = expected
        file["bits"] = expected[:, 0] % 3 == 0
        file["bits8"] = np.tile(file["bits"][:], 8)
    with h5py.File(path, "r") as file, path.open("rb") as raw:
        many, bits = stored(file["many"].id, raw), stored(file["bits8"].id, raw)
        assert np.array_equal(many[...], expected)
        assert np.array_equal(many[11_000:19_999], expected[11_000:19_999])
        assert np.array_equal(bits[...], file["bits8"][:])
        monkeypatch.setattr("trainspot.data.hdf5_columns.os.preadv", at_most(70_000))
        assert np.array_equal(many[1:], expected[1:])
        short.write_bytes(path.read_bytes()[: many._offset + expected.nbytes - 8])
        with short.open("rb") as cut, pytest.raises(OSError, match="ends within a column"):
            stored(file["many"].id, cut)[...]


def test_a_whole_file_is_read_in_one_piece(path, tmp_path, monkeypatch):
    """What HDF5 must read comes from HDF5, and what is not aligned is copied."""
    aligned = tmp_path / "aligned.h5"
    with h5py.File(aligned, "w", alignment_threshold=1, alignment_interval=8) as file:
        for name, values in COLUMNS.items():
            file.create_dataset(name, data=values)
    odd = tmp_path / "odd.h5"
    with h5py.File(odd, "w") as file:
        file["three"] = np.arange(3, dtype=np.uint8)
        file["reals"] = COLUMNS["reals"]
    reads = []
    read = os.pread
    monkeypatch.setattr(os, "pread", lambda *given: reads.append(given) or read(*given))
    for place, views in (
        (aligned, {"reals", "matrices", "texts", "bytes"}),
        (odd, {"three"}),
        (path, set()),
    ):
        reads.clear()
        with h5py.File(place, "r") as file, place.open("rb") as raw:
            names = [name for name in file if name != "number"]
            found = whole({name: stored(file[name].id, raw) for name in names})
            expected = {name: file[name][...] for name in names}
        assert len(reads) == 1
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values)
            assert found[name].dtype == values.dtype
            assert found[name].flags.aligned
        buffer = {id(_root(found[name])) for name in views}
        assert len(buffer) == min(1, len(views))


def test_columns_far_apart_are_read_one_by_one(tmp_path):
    path = tmp_path / "sparse.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.arange(4.0)
        file["between"] = np.zeros(1_000_000)
        file["b"] = np.arange(5)
    with h5py.File(path, "r") as file, path.open("rb") as raw:
        tracemalloc.start()
        found = whole({name: stored(file[name].id, raw) for name in "ab"})
        held = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert found["a"].tolist() == [0, 1, 2, 3]
    assert found["b"].tolist() == [0, 1, 2, 3, 4]
    assert held < 1_000_000


def _root(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.base
