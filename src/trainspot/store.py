"""The HDF5 layout of a dataset: one flat array a column, ragged columns cut by offsets.

The file holds exactly the columns of ``trainspot.dataset`` (``PER_FRAME``, ``PER_ATOM``, ``TEXT``
and extras in the group ``arrays``), and the attributes ``format`` and ``format_version``.
Bytes depend on the content alone, so equal datasets make equal files.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import h5py
import numpy as np

from trainspot.dataset import EXTRA, PER_ATOM, PER_FRAME, TEXT, Dataset
from trainspot.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT: Final = "trainspot-dataset"
FORMAT_VERSION: Final = 1
SUFFIX: Final = ".h5"


def write(dataset: Dataset, target: Path | str) -> None:
    """Write a dataset, atomically: the file appears whole or not at all.

    Raises:
        OSError: The folder cannot be written, or the disk is full; no partial file stays.
    """
    path = Path(target)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with h5py.File(scratch, "w", libver="v110") as file:
            file.attrs["format"] = FORMAT
            file.attrs["format_version"] = FORMAT_VERSION
            for name in sorted(dataset.columns):
                file.create_dataset(name, data=dataset.column(name), track_times=False)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def read(source: Path | str | IO[bytes]) -> Dataset:
    """Read a whole dataset into memory.

    Raises:
        DataError: Not a dataset of ours, or damaged.
    """
    with opened(source) as dataset:
        return Dataset({name: dataset.column(name) for name in dataset.columns})


@contextmanager
def opened(source: Path | str | IO[bytes]) -> Iterator[Dataset]:
    """Open a dataset lazily: columns and frames are read from disk when asked for.

    Raises:
        DataError: Not a dataset of ours, or damaged.
    """
    where = str(source) if isinstance(source, str | Path) else "dataset"
    try:
        file = h5py.File(source, "r")
    except FileNotFoundError:
        raise DataError("no such file", where=where) from None
    except OSError as error:
        raise DataError("not an HDF5 file, or damaged", where=where) from error
    with file:
        columns = _columns(file, where)
        _validate(columns, where)
        yield Dataset(columns)


def _columns(file: h5py.File, where: str) -> dict[str, Any]:
    if file.attrs.get("format") != FORMAT:
        raise DataError("not a trainspot dataset", where=where)
    version = int(file.attrs.get("format_version", 0))
    if version > FORMAT_VERSION:
        raise DataError(f"written by a newer trainspot (layout {version})", where=where)
    columns: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            columns[name] = item

    file.visititems(visit)
    return columns


def _validate(columns: dict[str, Any], where: str) -> None:
    """Check names, types, shapes and offsets, so that no later reader meets nonsense."""
    offset_names = ["offsets", *(f"{name}_offsets" for name in TEXT)]
    missing = {*PER_FRAME, *PER_ATOM, *TEXT, *offset_names} - columns.keys()
    if missing:
        raise DataError(f"column '{min(missing)}' is missing", where=where)
    n_frames = columns["energy"].shape[0]
    for axis in offset_names:
        edges = columns[axis][...]
        target = "numbers" if axis == "offsets" else axis.removesuffix("_offsets")
        good = edges.shape == (n_frames + 1,) and edges[0] == 0
        if not (good and np.all(np.diff(edges) >= 0) and edges[-1] == len(columns[target])):
            raise DataError(f"column '{axis}' is damaged", where=where)
    n_atoms = int(columns["offsets"][-1])
    expected = {name: (dtype, (n_frames, *shape)) for name, (dtype, shape) in PER_FRAME.items()}
    expected |= {name: (dtype, (n_atoms, *shape)) for name, (dtype, shape) in PER_ATOM.items()}
    for name, (dtype, shape) in expected.items():
        if columns[name].shape != shape or columns[name].dtype != np.dtype(dtype):
            raise DataError(f"column '{name}' is damaged", where=where)
    for name in columns:
        if name.startswith(EXTRA) and (
            len(columns[name]) != n_atoms or columns.get("has_" + name, ()) == ()
        ):
            raise DataError(f"column '{name}' is damaged", where=where)
