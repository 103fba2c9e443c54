"""The HDF5 layout of a dataset: one flat array per column, and offsets for ragged columns.

The file holds exactly the columns of ``trainspot.data.columns`` (``PER_FRAME``, ``PER_ATOM``,
``TEXT`` and extras in the group ``arrays``), and the attributes ``format`` and ``format_version``.
The bytes depend on the content only, so equal datasets make equal files.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import h5py
import numpy as np
from ase.data import chemical_symbols

from trainspot.common.atomic_write import replacing
from trainspot.common.errors import DataError
from trainspot.common.properties import PROPERTIES
from trainspot.data.columns import EXTRA, PER_ATOM, PER_FRAME, TEXT, is_mask
from trainspot.data.dataset import Dataset
from trainspot.data.frames import MAX_COORDINATE, SPLITS, frame_id
from trainspot.data.hdf5_columns import Layout, placed, stored, whole
from trainspot.data.rows import with_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FORMAT: Final = "trainspot-dataset"
FORMAT_VERSION: Final = 1
SUFFIX: Final = ".h5"

_ALIGNMENT: Final = 8  # bytes: numbers in a buffer of the file need no copy
_BLOCK_BYTES: Final = 1 << 18  # bytes that are read, checked and written at a time


def write(dataset: Dataset, target: Path | str) -> None:
    """Write a dataset atomically: the file appears complete or not at all.

    Raises:
        DataError: A number is not finite, or a code has no meaning; nothing is written.
        OSError: The folder cannot be written, or the disk is full; no partial file stays.
    """
    check_values(dataset, "dataset")
    with (
        replacing(target) as path,
        h5py.File(
            path, "w", libver="v110", alignment_threshold=1, alignment_interval=_ALIGNMENT
        ) as file,
    ):
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = FORMAT_VERSION
        for name in sorted(dataset.columns):
            _write_column(file, name, dataset.columns[name])


def _write_column(file: h5py.File, name: str, column: Any) -> None:
    """Write one column, in blocks if it is on disk; the bytes are the same."""
    if isinstance(column, np.ndarray):
        file.create_dataset(name, data=column, track_times=False)
        return
    target = file.create_dataset(name, shape=column.shape, dtype=column.dtype, track_times=False)
    for start, block in _blocks(column):
        target[start : start + len(block)] = block


def read(
    source: Path | str | IO[bytes], where: str = "", *, layout: Layout | None = None
) -> Dataset:
    """Read a whole dataset into memory.

    Args:
        source: A path, or an open binary file.
        where: The name of the file in messages; by default its path.
        layout: See ``opened``.

    Raises:
        DataError: Not a dataset of ours, or damaged.
    """
    place = where or _place(source)
    with opened(source, place, layout=layout) as dataset:
        try:
            frames = Dataset(whole(dataset.columns))
        except OSError as error:  # a chunk or block inside the file
            raise DataError("damaged HDF5 file", where=place) from error
    check_values(frames, place)
    return frames


@contextmanager
def opened(
    source: Path | str | IO[bytes], where: str = "", *, layout: Layout | None = None
) -> Iterator[Dataset]:
    """Open a dataset lazily: columns and frames are read from disk when they are used.

    Args:
        source: A path, or an open binary file.
        where: The name of the file in messages; by default its path.
        layout: The result of ``hdf5_columns.layout`` for this file, if known; this saves the
            search through the HDF5 file.

    Raises:
        DataError: Not a dataset of ours, or damaged.
    """
    where = where or _place(source)
    hdf5 = nullcontext(None) if layout is not None else _hdf5(source, where)
    with hdf5 as file, _bytes_of(source) as raw:
        try:
            columns = _columns(file, raw, where) if layout is None else placed(layout, raw)
            _validate(columns, where)
        # for damaged metadata h5py raises any of these
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise DataError("damaged HDF5 file", where=where) from error
        yield Dataset(columns)


def _hdf5(source: Path | str | IO[bytes], where: str) -> h5py.File:
    try:
        return h5py.File(source, "r")
    except FileNotFoundError:
        raise DataError("no such file", where=where) from None
    except OSError as error:
        raise DataError("not an HDF5 file, or damaged", where=where) from error


def _bytes_of(source: Path | str | IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    """The source as an open binary file; a file that the caller opened stays open."""
    return Path(source).open("rb") if isinstance(source, str | Path) else nullcontext(source)


def _place(source: Path | str | IO[bytes]) -> str:
    return str(source) if isinstance(source, str | Path) else "dataset"


def check_values(dataset: Dataset, where: str) -> None:
    """Check the numbers of a dataset, in blocks (reads all columns except texts and extras).

    Raises:
        DataError: A number is not finite, or a code has no meaning.
    """
    for name, sound, complaint in _RULES:
        try:
            good = all(np.all(sound(block)) for _, block in _blocks(dataset.columns[name]))
        except OSError as error:  # a chunk or block inside the file
            raise DataError("damaged HDF5 file", where=where) from error
        if not good:
            raise DataError(complaint.format(name), where=where)
    if not _climbs(dataset.columns["offsets"], least=1):
        raise DataError("a frame has no atoms", where=where)


def checked_frames(dataset: Dataset, where: str) -> Dataset:
    """Check a foreign file frame by frame: numbers, texts, and whether ids fit the frames.

    Returns:
        The dataset. Files of earlier versions have ids without charge and spin; their frames, and
        the parents of their children, get today's ids.

    Raises:
        DataError: The file is damaged, or was changed later; the message names the frame.
    """
    check_values(dataset, where)
    frames, renamed = iter(dataset), dict[int, str]()
    for number in range(1, len(dataset) + 1):
        try:
            frame = next(frames)
        except DataError as error:
            raise DataError(f"the texts of frame {number} are damaged", where=where) from error
        except OSError as error:
            raise DataError("damaged HDF5 file", where=where) from error
        if frame.id != (identity := frame.identity()):
            if frame.id != frame_id(frame.numbers, frame.positions, frame.cell, frame.pbc):
                raise DataError(
                    f"the id of frame {number} is not that of its geometry", where=where
                )
            renamed[number - 1] = identity
    if not renamed:
        return dataset
    before = dataset.ids
    ids = [renamed.get(row, identity) for row, identity in enumerate(before)]
    return Dataset(with_ids(dataset.columns, before, ids))


def _finite(block: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(block))


def _on_grid(block: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(block) < MAX_COORDINATE)  # also finite


def _element(block: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray((block >= 1) & (block < len(chemical_symbols)))


def _split(block: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(block <= len(SPLITS))


def _readable(block: NDArray[Any]) -> NDArray[np.bool_]:
    is_ascii = np.ascontiguousarray(block).view(np.int8).min() >= 0  # nearly always, and fast
    return np.asarray(is_ascii or all(map(_is_utf8, block.tolist())))


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


_RULES: Final = (
    *((name, _finite, "column '{}' holds a number that is not finite") for name in PROPERTIES),
    *(
        (name, _on_grid, "column '{}' holds a number that is not finite or beyond 2e7 Å")
        for name in ("cell", "positions")
    ),
    ("numbers", _element, "column '{}' holds an unknown element"),
    ("split", _split, "column '{}' holds an unknown split"),
    *(
        (name, _readable, "column '{}' holds a damaged text")
        for name, (dtype, _) in PER_FRAME.items()
        if dtype.startswith("S")
    ),
)


def _blocks(column: Any) -> Iterator[tuple[int, NDArray[Any]]]:
    """Pieces of a column, each with its first row: constant memory for a column of any length."""
    row = max(1, math.prod(column.shape[1:]) * column.dtype.itemsize)
    size = max(1, _BLOCK_BYTES // row)
    for start in range(0, len(column), size):
        yield start, np.asarray(column[start : start + size])


def _columns(file: h5py.File, raw: IO[bytes], where: str) -> dict[str, Any]:
    if file.attrs.get("format") != FORMAT:
        raise DataError("not a trainspot dataset", where=where)
    version = int(file.attrs.get("format_version", 0))
    if version > FORMAT_VERSION:
        raise DataError(f"written by a newer trainspot (layout {version})", where=where)
    if version < 1:
        raise DataError(f"unknown layout {version}", where=where)
    readable = file.userblock_size == 0
    names: list[bytes] = []
    h5py.h5o.visit(file.id, names.append)  # twice as fast as visititems
    columns: dict[str, Any] = {}
    for name in names:
        item = h5py.h5o.open(file.id, name)
        if isinstance(item, h5py.h5d.DatasetID):
            if item.get_create_plist().get_external_count():
                raise DataError("points to other files, which are not read", where=where)
            columns[name.decode()] = (
                stored(item, raw) if readable else h5py.Dataset(item, readonly=True)
            )
    return columns


def _validate(columns: dict[str, Any], where: str) -> None:
    """Check names, types, shapes and offsets before anything uses the columns."""
    offset_names = ["offsets", *(f"{name}_offsets" for name in TEXT)]
    missing = {*PER_FRAME, *PER_ATOM, *TEXT, *offset_names} - columns.keys()
    if missing:
        raise DataError(f"column '{min(missing)}' is missing", where=where)
    n_frames = len(columns["energy"])
    for axis in offset_names:
        target = "numbers" if axis == "offsets" else axis.removesuffix("_offsets")
        # the shape first: with a damaged shape the offsets may not fit into memory
        good = columns[axis].dtype == np.int64 and columns[axis].shape == (n_frames + 1,)
        good = good and _climbs(columns[axis], least=0)
        if not good or columns[axis][-1] != len(columns[target]):
            raise DataError(f"column '{axis}' is damaged", where=where)
    for name in TEXT:
        if columns[name].ndim != 1 or columns[name].dtype != np.uint8:
            raise DataError(f"column '{name}' is damaged", where=where)
    n_atoms = int(columns["offsets"][-1])
    expected = {name: (dtype, (n_frames, *shape)) for name, (dtype, shape) in PER_FRAME.items()}
    expected |= {name: (dtype, (n_atoms, *shape)) for name, (dtype, shape) in PER_ATOM.items()}
    for name, (dtype, shape) in expected.items():
        if columns[name].shape != shape or columns[name].dtype != np.dtype(dtype):
            raise DataError(f"column '{name}' is damaged", where=where)
    for name in columns.keys() - expected.keys() - set(offset_names) - set(TEXT):
        _validate_extra(name, columns, n_frames, n_atoms, where)


def _climbs(edges: Any, *, least: int) -> bool:
    """Whether offsets start at 0, and each is larger than the one before by ``least`` or more."""
    last = -least
    for _, block in _blocks(edges):
        if np.any(np.diff(block, prepend=last) < least):
            return False
        last = int(block[-1])
    return int(edges[0]) == 0


def _validate_extra(
    name: str, columns: dict[str, Any], n_frames: int, n_atoms: int, where: str
) -> None:
    """Check one per-atom extra or its mask; any other column is foreign."""
    dtype = columns[name].dtype
    if is_mask(name):
        partner, length, typed = name.removeprefix("has_"), n_frames, dtype == np.bool_
    elif name.startswith(EXTRA):
        partner, length, typed = "has_" + name, n_atoms, dtype.kind in "biufS"
    else:
        raise DataError(f"unknown column '{name}'", where=where)
    if not (typed and partner in columns and columns[name].shape[:1] == (length,)):
        raise DataError(f"column '{name}' is damaged", where=where)
