"""Columns on disk: direct reads of slices, without HDF5.

A contiguous HDF5 dataset is a run of bytes at a known offset. A frame needs slices of about twenty
columns. h5py takes 30 to 150 µs for each slice, a direct read 3 µs (decision 0021).
"""

from __future__ import annotations

import math
import os
from functools import cache
from io import BufferedReader
from typing import IO, TYPE_CHECKING, Any, Final, TypeAlias

import h5py
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import EllipsisType

    from numpy.typing import NDArray

Layout: TypeAlias = "dict[str, list[Any]]"
"""Positions of the columns in a file: offset in bytes, shape and type of each, JSON values."""

_SMALL: Final = 1 << 16  # bytes; for fewer, a copy is faster than an array
_SPARSE: Final = 1.1  # a file larger than this times the bytes of its columns is read in pieces


class StoredColumn:
    """A column of a dataset file; it slices like an array and reads only the slice.

    Attributes:
        shape: Shape of the whole column.
        dtype: Type of its numbers.
        source: The open file.
    """

    __slots__ = ("_offset", "_row", "dtype", "shape", "source")

    def __init__(
        self, source: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], offset: int
    ) -> None:
        """A column whose bytes start at ``offset`` of ``source``; see ``stored``."""
        self.source = source
        self._offset = offset
        self.shape = shape
        self.dtype = dtype
        self._row = self.dtype.itemsize * math.prod(self.shape[1:])

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        """Number of rows."""
        if not self.shape:
            raise TypeError("a single number has no rows")
        return self.shape[0]

    def __getitem__(self, key: int | slice | EllipsisType) -> Any:
        """A row, consecutive rows, or all of them: a new array.

        Raises:
            IndexError: No such row.
            OSError: The file ends before the column does.
        """
        if type(key) is slice:
            start, stop, step = key.indices(self.shape[0])
            if step != 1:
                raise IndexError("rows of a stored column are read one after another")
            return self._rows(start, max(start, stop))
        if key is Ellipsis:
            return self._rows(0, len(self))
        row = range(len(self))[key]
        return self._rows(row, row + 1)[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The whole column as an array."""
        if copy is False:
            raise ValueError("a stored column is always read anew")
        return np.asarray(self[...], dtype=dtype)

    @property
    def place(self) -> tuple[int, int]:
        """First and last byte offset of the column in the file."""
        return self._offset, self._offset + len(self) * self._row

    @property
    def layout(self) -> list[Any]:
        """Offset in bytes, shape and type, as JSON values: enough to read the column."""
        return [self._offset, list(self.shape), self.dtype.str]

    def within(self, buffer: NDArray[np.uint8], start: int) -> NDArray[Any]:
        """The whole column as a view of a part of its file, or a copy if not aligned.

        Args:
            buffer: Bytes of the file with all bytes of the column.
            start: Offset in the file of the first byte of the buffer.
        """
        view = self._array(len(self), buffer, self._offset - start)
        return view if view.flags.aligned else view.copy()

    def _rows(self, start: int, stop: int) -> NDArray[Any]:
        size = (stop - start) * self._row
        data = _read(self.source, self._offset + start * self._row, size)
        return self._array(stop - start, data)

    def _array(
        self, rows: int, buffer: bytearray | NDArray[np.uint8], offset: int = 0
    ) -> NDArray[Any]:
        shape = (rows, *self.shape[1:])
        if self.dtype == np.bool_:  # a damaged file may hold other bytes than 0 and 1
            return np.asarray(np.ndarray(shape, np.uint8, buffer, offset) != 0)
        return np.ndarray(shape, self.dtype, buffer, offset)


def _read(source: IO[bytes], offset: int, size: int) -> bytearray | NDArray[np.uint8]:
    """``size`` bytes of a file.

    Raises:
        OSError: The file ends too early.
    """
    buffer: bytearray | NDArray[np.uint8]
    if not isinstance(source, BufferedReader):  # part of a file, with offsets of its own
        source.seek(offset)
        buffer = bytearray(source.read(size))
    elif size < _SMALL:
        buffer = bytearray(os.pread(source.fileno(), size, offset))
    else:  # a read into the array, at most 2 GB at a time on Linux
        buffer = np.empty(size, np.uint8)
        filled = 0
        while more := os.preadv(source.fileno(), [buffer[filled:].data], offset + filled):
            filled += more
        buffer = buffer[:filled]
    if len(buffer) < size:
        raise OSError("the file ends within a column")
    return buffer


def stored(data: h5py.h5d.DatasetID, source: IO[bytes]) -> StoredColumn | h5py.Dataset:
    """An HDF5 dataset as a column with direct reads, or through h5py where these are impossible.

    Direct reads need numbers in one piece and in a type of numpy, as in the files of
    ``hdf5.write`` and most others.

    Args:
        data: HDF5 dataset of an open file without a user block.
        source: The same file, open for reading bytes.
    """
    offset = data.get_offset()  # None if the file has no data for it, or several pieces
    if offset is None and 0 in data.shape:
        offset = 0
    if offset is not None and (dtype := _plain(data.get_type().encode())) is not None:
        return StoredColumn(source, data.shape, dtype, offset)
    return h5py.Dataset(data, readonly=True)


def layout(columns: Mapping[str, Any]) -> Layout | None:
    """Positions of the columns in a file, see ``placed``; ``None`` if one needs h5py.

    Args:
        columns: Columns of one file, from ``stored``.
    """
    if not all(isinstance(column, StoredColumn) for column in columns.values()):
        return None
    return {name: column.layout for name, column in columns.items()}


def placed(layout: Layout, source: IO[bytes]) -> dict[str, StoredColumn]:
    """The columns of a file with a known layout, without HDF5.

    Args:
        layout: The result of ``layout`` for a file with the same bytes.
        source: The file, open for reading bytes.
    """
    return {
        name: StoredColumn(source, tuple(shape), np.dtype(dtype), offset)
        for name, (offset, shape, dtype) in layout.items()
    }


@cache
def _plain(encoded: bytes) -> np.dtype[Any] | None:
    """The numpy type with the same bytes as an encoded HDF5 type, or ``None``."""
    h5_type = h5py.h5t.decode(encoded)
    dtype = h5_type.dtype
    same = dtype.kind in "biufS" and h5_type == h5py.h5t.py_create(dtype, logical=True)
    return dtype if same else None


def whole(columns: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """All columns of a file in memory; one read if the columns fill most of the file.

    One large buffer causes fewer page faults than many small buffers. The arrays are read-only
    views of the buffer, which lives as long as any of the arrays.

    Args:
        columns: Columns of one file, from ``stored``.

    Raises:
        OSError: The file ends within a column.
    """
    direct = {name: column for name, column in columns.items() if isinstance(column, StoredColumn)}
    places = [column.place for column in direct.values()]
    start = min((begin for begin, _ in places), default=0)
    size = max((end for _, end in places), default=0) - start
    if size > _SPARSE * sum(end - begin for begin, end in places) + _SMALL:
        direct = {}  # other data lie between the columns
    views: dict[str, NDArray[Any]] = {}
    if direct:
        buffer = np.frombuffer(_read(next(iter(direct.values())).source, start, size), np.uint8)
        buffer.flags.writeable = False
        views = {name: column.within(buffer, start) for name, column in direct.items()}
    return {
        name: views[name] if name in views else np.asarray(columns[name][...]) for name in columns
    }
