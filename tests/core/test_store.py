"""The HDF5 layout: bytes by content, atomic, lazy, and damaged files are refused."""

from __future__ import annotations

import io

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainspot.common.errors import DataError
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin
from trainspot.data.hdf5_columns import StoredColumn


@pytest.fixture
def rich(labelled_frames, silicon) -> Dataset:
    """Frames that use every column, of different sizes."""
    atom = Frame.make([32], [[0, 0, 0]], info={"note": "älone", "a": np.arange(3)})
    extra = silicon.with_(
        arrays={"q": np.arange(8.0), "flag": np.ones(8, dtype=bool)},
        origin=Origin("md", "p" * 64, {"temperature": 300.0}, 5, "t1", 2),
        split="validation",
    )
    return Dataset.from_frames([*labelled_frames, atom, extra])


@pytest.fixture
def path(rich, tmp_path):
    target = tmp_path / "dataset.h5"
    hdf5.write(rich, target)
    return target


def columns(dataset: Dataset) -> dict[str, tuple]:
    arrays = {name: dataset.column(name) for name in dataset.columns}
    return {n: (a.dtype.str, a.shape, a.tobytes()) for n, a in sorted(arrays.items())}


def test_every_column_comes_back(rich, path):
    assert columns(hdf5.read(path)) == columns(rich)
    with path.open("rb") as handle:
        assert columns(hdf5.read(handle)) == columns(rich)


def test_numbers_are_aligned_in_the_file(path):
    with h5py.File(path, "r") as file:
        places: dict[str, int | None] = {}
        file.visititems(
            lambda name, item: (
                places.update({name: item.id.get_offset()})
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    assert len([place for place in places.values() if place is not None]) > 20
    assert all(place % 8 == 0 for place in places.values() if place is not None)


def test_an_empty_dataset_can_be_stored(tmp_path):
    hdf5.write(Dataset.from_frames([]), tmp_path / "empty.h5")
    assert len(hdf5.read(tmp_path / "empty.h5")) == 0


def test_equal_datasets_make_equal_files(rich, path, tmp_path):
    other = tmp_path / "another-name.h5"
    shuffled = Dataset(dict(reversed(list(rich.columns.items()))))
    hdf5.write(shuffled, other)
    assert other.read_bytes() == path.read_bytes()
    rebuilt = tmp_path / "rebuilt.h5"
    hdf5.write(Dataset.from_frames(list(rich)), rebuilt)
    assert rebuilt.read_bytes() == path.read_bytes()
    hdf5.write(rich.with_columns(iteration=np.ones(len(rich))), other)
    assert other.read_bytes() != path.read_bytes()


def test_lazy_frames_are_the_same(rich, path):
    with hdf5.opened(path) as lazy:
        assert isinstance(lazy.columns["positions"], StoredColumn)
        assert lazy[13].id == rich[13].id
        assert lazy[-1].arrays["q"].tolist() == rich[-1].arrays["q"].tolist()
        assert [f.id for f in lazy] == rich.ids
        assert columns(lazy.take([12, 3, -1])) == columns(rich.take([12, 3, -1]))


def test_a_file_with_a_block_before_it_is_read_by_hdf5(rich, path, tmp_path):
    moved = tmp_path / "moved.h5"
    with h5py.File(path) as source, h5py.File(moved, "w", userblock_size=512) as target:
        target.attrs.update(source.attrs)
        for name in source:
            source.copy(name, target)
    with hdf5.opened(moved) as lazy:
        assert isinstance(lazy.columns["positions"], h5py.Dataset)
    assert columns(hdf5.read(moved)) == columns(rich)


class Counting(io.FileIO):
    """A file that counts what is read of it."""

    read_bytes_total = 0

    def readinto(self, buffer):
        count = super().readinto(buffer)
        type(self).read_bytes_total += count
        return count


def test_a_few_rows_read_a_few_rows(rich, tmp_path):
    path = tmp_path / "long.h5"
    hdf5.write(rich.take(np.arange(20_000) % len(rich)), path)
    with Counting(path) as handle, hdf5.opened(handle) as lazy:
        opened_with = Counting.read_bytes_total
        rows = [19_000, 3, 3, 10_000, -1]
        few = lazy.take(rows)
        read = Counting.read_bytes_total - opened_with
        assert read < path.stat().st_size / 5, (read, path.stat().st_size)
        held = lazy.frames(split="validation")
        assert [frame.id for frame in held] == [rich.ids[13]] * (20_000 // len(rich))
    expected = [rich.ids[row % len(rich)] for row in [19_000, 3, 3, 10_000, 19_999]]
    assert [frame.id for frame in few] == expected
    assert columns(few.take([1])) == columns(rich.take([3]))


def test_one_frame_reads_one_frame(rich, path):
    with Counting(path) as handle, hdf5.opened(handle) as lazy:
        opened_with = Counting.read_bytes_total
        frame = lazy[5]
        assert Counting.read_bytes_total - opened_with < 8_000
    assert frame.id == rich[5].id
    assert frame.positions.flags.owndata or frame.positions.base is not None


# ── writing ───────────────────────────────────────────────────────────────────
def test_writing_replaces_atomically_and_leaves_nothing_else(rich, path):
    with hdf5.opened(path) as lazy:
        hdf5.write(lazy, path)  # onto the file it is read from
    assert columns(hdf5.read(path)) == columns(rich)
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_no_scraps(rich, path, monkeypatch):
    before = path.read_bytes()

    def full(self, name, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(h5py.Group, "create_dataset", full)
    with pytest.raises(OSError, match="No space left"):
        hdf5.write(rich.take([0]), path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("energy", np.nan, "'energy' holds a number that is not finite"),
        ("stress", np.inf, "'stress' holds a number that is not finite"),
        ("split", 4, "unknown split"),
    ],
)
def test_nonsense_is_not_written(rich, tmp_path, column, value, message):
    values = np.array(rich.column(column))
    values[0] = value
    with pytest.raises(DataError, match=message):
        hdf5.write(rich.with_columns(**{column: values}), tmp_path / "x.h5")
    assert not list(tmp_path.iterdir())


# ── damaged and foreign files ─────────────────────────────────────────────────
def test_files_that_are_something_else(tmp_path):
    with pytest.raises(DataError, match=r"none\.h5: no such file"):
        hdf5.read(tmp_path / "none.h5")
    text = tmp_path / "text.h5"
    text.write_text("not HDF5")
    with pytest.raises(DataError, match=r"text\.h5: not an HDF5 file, or damaged"):
        hdf5.read(text)
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["energy"] = np.zeros(3)
    with pytest.raises(DataError, match="not a trainspot dataset"):
        hdf5.read(tmp_path / "foreign.h5")


def test_a_newer_layout_is_refused(path):
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = hdf5.FORMAT_VERSION + 1
    with pytest.raises(DataError, match="newer trainspot"):
        hdf5.read(path)


def test_an_odd_version_is_refused(path):
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = "two"
    with pytest.raises(DataError, match="damaged"):
        hdf5.read(path)


def test_a_file_without_a_version_is_refused(path):
    with h5py.File(path, "r+") as file:
        del file.attrs["format_version"]
    with pytest.raises(DataError, match="unknown layout 0"):
        hdf5.read(path)


NAMES = sorted(
    {*hdf5.PER_FRAME, *hdf5.PER_ATOM, *hdf5.TEXT, "arrays/q", "has_arrays/q"}
    | {"offsets", "info_offsets", "parameters_offsets"}
)


def replace(path, name, data):
    with h5py.File(path, "r+") as file:
        del file[name]
        if data is not None:
            file[name] = data


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_column_is_refused(path, name):
    replace(path, name, None)
    with pytest.raises(DataError, match=r"column '.*' is (missing|damaged)"):
        hdf5.read(path)


@pytest.mark.parametrize("name", NAMES)
def test_a_column_of_another_type_or_length_is_refused(path, name):
    with h5py.File(path) as file:
        good = file[name][...]
    for wrong in (good[:-1], np.zeros(good.shape, dtype="c16"), np.float64(1.0)):
        replace(path, name, wrong)
        with pytest.raises(DataError, match=r"damaged"):
            hdf5.read(path)


@pytest.mark.parametrize("name", ["offsets", "info_offsets", "parameters_offsets"])
def test_offsets_must_rise_from_zero_to_the_end(path, name):
    with h5py.File(path) as file:
        good = file[name][...]
    for change in ({0: 1}, {-1: good[-1] + 1}, {2: good[-1] + 5}, {2: -1}):
        bad = good.copy()
        for place, value in change.items():
            bad[place] = value
        replace(path, name, bad)
        with pytest.raises(DataError, match=f"column '{name}' is damaged"):
            hdf5.read(path)


def test_a_foreign_column_is_refused_rather_than_dropped(path):
    with h5py.File(path, "r+") as file:
        file["mine"] = np.zeros(3)
    with pytest.raises(DataError, match="unknown column 'mine'"):
        hdf5.read(path)


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("positions", (0, 0), np.nan, "'positions' holds a number that is not finite"),
        ("cell", (0, 0, 0), np.inf, "'cell' holds a number that is not finite"),
        ("forces", (3, 1), np.nan, "'forces' holds a number that is not finite"),
        ("positions", (0, 0), 1e308, "beyond 2e7 Å"),
        ("numbers", 0, 0, "unknown element"),
        ("numbers", 0, 119, "unknown element"),
        ("split", 0, 9, "unknown split"),
        ("id", 0, b"\xff", "'id' holds a damaged text"),
        ("theory", 5, b"pb\xc3", "'theory' holds a damaged text"),
        ("strategy", 3, b"\xc3(", "'strategy' holds a damaged text"),
        ("parent", 1, b"\x80", "'parent' holds a damaged text"),
        ("trajectory", 2, b"\xff", "'trajectory' holds a damaged text"),
    ],
)
def test_nonsense_in_a_file_is_refused(path, name, place, value, message):
    with h5py.File(path, "r+") as file:
        file[name][place] = value
    with pytest.raises(DataError, match=message):
        hdf5.read(path)


def test_half_a_letter_is_not_completed_by_the_next_text(path):
    """The columns are no text as a whole: each row is one of its own."""
    with h5py.File(path, "r+") as file:
        file["theory"][0], file["theory"][1] = b"x" * 63 + b"\xc3", b"\xa9"
    with pytest.raises(DataError, match="'theory' holds a damaged text"):
        hdf5.read(path)


def test_texts_damaged_after_the_file_was_opened_are_an_error_of_ours(path):
    with h5py.File(path, "r+") as file:
        file["theory"][0] = b"\xff"
    with hdf5.opened(path) as lazy:
        for read in (lambda: lazy[0], lambda: list(lazy), lambda: list(lazy.frames(split=None))):
            with pytest.raises(DataError, match="the texts of a frame are damaged"):
                read()


def test_a_frame_without_atoms_is_refused(path):
    with h5py.File(path) as file:
        offsets = file["offsets"][...]
    offsets[1] = 0
    replace(path, "offsets", offsets)
    with pytest.raises(DataError, match="no atoms"):
        hdf5.read(path)


def small_file() -> bytes:
    labels = Labels(-1.0, np.zeros((2, 3)), theory="pbe")
    frame = Frame.make([14, 14], [[0, 0, 0], [0, 0, 2.3]], labels=labels, info={"a": 1})
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["format"], file.attrs["format_version"] = hdf5.FORMAT, hdf5.FORMAT_VERSION
        dataset = Dataset.from_frames([frame])
        for name in dataset.columns:
            file[name] = dataset.column(name)
    return buffer.getvalue()


SMALL = small_file()


@given(st.integers(0, len(SMALL) - 1))
def test_a_truncated_file_is_refused(length):
    with pytest.raises(DataError):
        hdf5.read(io.BytesIO(SMALL[:length]))


@pytest.mark.parametrize(
    ("name", "place", "value", "message"),
    [
        ("positions", (0, 0), 0.25, "the id of frame 1 is not that of its geometry"),
        ("info", 0, 255, "the texts of frame 13 are damaged"),
        ("parameters", 0, 255, "the texts of frame 14 are damaged"),
        ("strategy", 3, b"\xff", "column 'strategy' holds a damaged text"),
        ("energy", 0, np.nan, "not finite"),
    ],
)
def test_frames_that_were_changed_are_found(path, name, place, value, message):
    with hdf5.opened(path) as lazy:
        hdf5.checked_frames(lazy, "file")
    with h5py.File(path, "r+") as file:
        file[name][place] = value
    with hdf5.opened(path) as lazy, pytest.raises(DataError, match=f"file: .*{message}"):
        hdf5.checked_frames(lazy, "file")


def test_large_columns_are_checked_and_copied_to_their_end(rich, tmp_path):
    """They are read in blocks; the bytes must not tell."""
    large = rich.take(np.arange(20_000) % len(rich))
    hdf5.write(large, tmp_path / "a.h5")
    with hdf5.opened(tmp_path / "a.h5") as lazy:
        hdf5.write(lazy, tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    for name, value in (("forces", np.nan), ("numbers", 0), ("offsets", 0)):
        with h5py.File(tmp_path / "b.h5", "r+") as file:
            before = file[name][-2]
            file[name][-2] = value
        with pytest.raises(DataError, match=name):
            hdf5.read(tmp_path / "b.h5")
        with h5py.File(tmp_path / "b.h5", "r+") as file:
            file[name][-2] = before
    assert hdf5.read(tmp_path / "b.h5").ids == large.ids


def test_offsets_that_fall_between_two_blocks_are_found(rich, tmp_path):
    hdf5.write(rich.take(np.arange(40_000) % len(rich)), tmp_path / "a.h5")
    row = hdf5._BLOCK_BYTES // 8
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        assert len(file["offsets"]) > row
        file["offsets"][row] = 0
    with pytest.raises(DataError, match="column 'offsets' is damaged"):
        hdf5.read(tmp_path / "a.h5")


def test_numbers_outside_the_file_are_not_read(path, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(14 * 8))
    with h5py.File(path, "r+") as file:
        del file["energy"]
        file.create_dataset("energy", (14,), "f8", external=[(tmp_path / "secret", 0, 112)])
    with pytest.raises(DataError, match="points to other files, which are not read"):
        hdf5.read(path)


def test_links_out_of_the_file_are_not_followed(path, tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["energy"] = np.zeros(14)
    with h5py.File(path, "r+") as file:
        del file["energy"]
        file["energy"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "energy")
    with pytest.raises(DataError, match="column 'energy' is missing"):
        hdf5.read(path)
