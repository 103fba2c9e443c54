"""Columns on disk: read where they lie, without asking HDF5 for every slice.

A contiguous HDF5 dataset is a run of bytes at a known place. A frame needs a slice of some twenty
columns, and h5py takes 30 to 150 µs for each, a read 3 µs (decision 0021).
"""

from __future__ import annotations

import math
import os
from functools import cache
from io import BufferedReader
from typing import IO, TYPE_CHECKING, Any, Final

import h5py
import numpy as np

if TYPE_CHECKING:
    from types import EllipsisType

    from numpy.typing import NDArray

_SMALL: Final = 1 << 16  # bytes, below which a copy costs less than an array


class StoredColumn:
    """A column of a dataset file, which slices like an array and reads only what is asked for.

    Attributes:
        shape: Of the whole column.
        dtype: Of its numbers.
    """

    __slots__ = ("_offset", "_row", "_source", "dtype", "shape")

    def __init__(
        self, source: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], offset: int
    ) -> None:
        """A column whose bytes start at ``offset`` of ``source``; see ``stored``."""
        self._source = source
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

    def _rows(self, start: int, stop: int) -> NDArray[Any]:
        shape = (stop - start, *self.shape[1:])
        found = self._bytes(self._offset + start * self._row, (stop - start) * self._row)
        if self.dtype == np.bool_:  # a damaged file may hold other bytes than 0 and 1
            return np.asarray(np.ndarray(shape, np.uint8, found) != 0)
        return np.ndarray(shape, self.dtype, found)

    def _bytes(self, offset: int, size: int) -> bytearray | NDArray[np.uint8]:
        found: bytearray | NDArray[np.uint8]
        if not isinstance(self._source, BufferedReader):  # part of a file: it knows where it lies
            self._source.seek(offset)
            found = bytearray(self._source.read(size))
        elif size < _SMALL:
            found = bytearray(os.pread(self._source.fileno(), size, offset))
        else:  # read in place, of which Linux does 2 GB at a time
            found = np.empty(size, np.uint8)
            done = 0
            while more := os.preadv(self._source.fileno(), [found[done:].data], offset + done):
                done += more
            found = found[:done]
        if len(found) < size:
            raise OSError("the file ends within a column")
        return found


def stored(data: h5py.h5d.DatasetID, source: IO[bytes]) -> StoredColumn | h5py.Dataset:
    """A dataset of an HDF5 file as a column that is read directly, or as it is where it cannot be.

    It can where its numbers lie in one piece, in the type that numpy has for them: what ``store``
    writes, and most others.

    Args:
        data: Of an open file without a user block.
        source: The same file, open for reading bytes.
    """
    offset = data.get_offset()  # None where nothing is written, or not in one piece of this file
    if offset is not None and (dtype := _plain(data.get_type().encode())) is not None:
        return StoredColumn(source, data.shape, dtype, offset)
    return h5py.Dataset(data, readonly=True)


@cache
def _plain(encoded: bytes) -> np.dtype[Any] | None:
    """The numpy type of an encoded HDF5 type whose bytes mean the same to both."""
    found = h5py.h5t.decode(encoded)
    dtype = found.dtype
    same = dtype.kind in "biufS" and found == h5py.h5t.py_create(dtype, logical=True)
    return dtype if same else None
