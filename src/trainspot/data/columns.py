"""The columns of a dataset, and the conversion from frames to columns and back.

Ragged columns hold the atoms of all frames, one frame after another; ``offsets`` holds the start of
each frame. The HDF5 layout has the same columns, see ``hdf5``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from trainspot.common.errors import DataError
from trainspot.data.frames import SPLITS, Frame, Labels, Origin
from trainspot.data.metadata import decode_metadata, encode_metadata

if TYPE_CHECKING:
    from numpy.typing import NDArray

PER_FRAME: Final[Mapping[str, tuple[str, tuple[int, ...]]]] = {
    "id": ("S64", ()),
    "cell": ("f8", (3, 3)),
    "pbc": ("?", (3,)),
    "energy": ("f8", ()),
    "stress": ("f8", (3, 3)),
    "has_energy": ("?", ()),
    "has_forces": ("?", ()),
    "has_stress": ("?", ()),
    "theory": ("S64", ()),
    "split": ("u1", ()),
    "strategy": ("S32", ()),
    "parent": ("S64", ()),
    "trajectory": ("S64", ()),
    "iteration": ("i4", ()),
    "seed": ("i8", ()),
}
"""Columns with one row per frame: dtype and shape of a row. ``split`` is 0 for none, else 1 + index
in ``SPLITS``; ``seed`` is -1 for none; a value whose ``has_…`` is false is zero."""

PER_ATOM: Final[Mapping[str, tuple[str, tuple[int, ...]]]] = {
    "numbers": ("u1", ()),
    "positions": ("f8", (3,)),
    "forces": ("f8", (3,)),
}
"""Ragged columns with one row per atom; ``offsets`` cuts them into frames."""

TEXT: Final = ("parameters", "info")
"""Ragged columns of UTF-8 JSON bytes; each has its own ``<name>_offsets``."""

EXTRA: Final = "arrays/"
"""Prefix of per-atom extras; the mask ``has_arrays/<name>`` marks the frames that have one."""


_ROW: Final = np.dtype([(name, *kind) for name, kind in PER_FRAME.items()], align=True)
"""All values of a frame with one row per frame, side by side."""

_SHORT: Final = ("numbers", *TEXT)
"""Ragged columns of single bytes; a block keeps its part of them if this part is short."""

_KEPT: Final = 1 << 16
"""Bytes; the longest part of such a column that a block keeps: 512 frames of 128 atoms."""


def is_mask(name: str) -> bool:
    """Whether a column is the ``has_…`` mask of a per-atom extra."""
    return name.startswith("has_" + EXTRA)


def axes(columns: Iterable[str]) -> dict[str, list[str]]:
    """The ragged columns by the name of their offsets column."""
    atoms = [*PER_ATOM, *(name for name in columns if name.startswith(EXTRA))]
    return {"offsets": atoms} | {f"{name}_offsets": [name] for name in TEXT}


def _axis(name: str) -> str:
    """Name of the offsets column of a ragged column."""
    return f"{name}_offsets" if name in TEXT else "offsets"


def frozen(array: Any) -> NDArray[Any]:
    """A read-only view of an array, or the contents of its on-disk stand-in."""
    view: NDArray[Any] = np.asarray(array[...])
    view.setflags(write=False)
    return view


def ragged(offsets: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions in a ragged column of the given rows (none negative), one after the other."""
    return spread(offsets[rows], np.diff(offsets)[rows])


def spread(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """``lengths`` consecutive positions from each of ``starts``, one after the other."""
    shift = np.repeat(starts - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    return np.asarray(np.arange(lengths.sum()) + shift, dtype=np.int64)


def fixed_width(name: str, values: Sequence[str | bytes]) -> NDArray[np.bytes_]:
    """Short texts as a fixed-width column; a text that does not fit is refused, not truncated."""
    dtype = PER_FRAME[name][0]
    encoded = [v if isinstance(v, bytes) else v.encode("utf-8") for v in values]
    for value in encoded:
        if len(value) > int(dtype[1:]) or value.endswith(b"\0"):
            raise DataError(f"'{value.decode()}' does not fit in column '{name}' ({dtype[1:]} B)")
    return np.array(encoded, dtype=dtype)


def columns_of(frames: list[Frame]) -> dict[str, Any]:
    """All columns of frames.

    Raises:
        DataError: Metadata that cannot be stored losslessly, or extras that do not agree.
    """
    if any(frame.origin.seed is not None and frame.origin.seed < 0 for frame in frames):
        raise DataError("the seed of a frame's origin must not be negative")
    sizes = np.array([len(frame) for frame in frames], dtype=np.int64)
    labels, origins = [f.labels for f in frames], [f.origin for f in frames]
    zero = np.zeros((3, 3))
    rows: dict[str, list[Any]] = {
        "id": [f.id for f in frames],
        "cell": [f.cell for f in frames],
        "pbc": [f.pbc for f in frames],
        "energy": [lab.energy or 0.0 for lab in labels],
        "stress": [zero if lab.stress is None else lab.stress for lab in labels],
        "has_energy": [lab.energy is not None for lab in labels],
        "has_forces": [lab.forces is not None for lab in labels],
        "has_stress": [lab.stress is not None for lab in labels],
        "theory": [lab.theory for lab in labels],
        "split": [0 if f.split is None else 1 + SPLITS.index(f.split) for f in frames],
        "strategy": [o.strategy for o in origins],
        "parent": [o.parent for o in origins],
        "trajectory": [o.trajectory for o in origins],
        "iteration": [o.iteration for o in origins],
        "seed": [-1 if o.seed is None else o.seed for o in origins],
    }
    columns: dict[str, Any] = {}
    for name, (dtype, shape) in PER_FRAME.items():
        values = rows[name]
        columns[name] = (
            fixed_width(name, values)
            if dtype.startswith("S")
            else np.array(values, dtype=dtype).reshape(len(frames), *shape)
        )
    forces = [np.zeros((len(f), 3)) if f.labels.forces is None else f.labels.forces for f in frames]
    columns["offsets"] = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    columns["numbers"] = _stacked([f.numbers for f in frames], "u1", ())
    columns["positions"] = _stacked([f.positions for f in frames], "f8", (3,))
    columns["forces"] = _stacked(forces, "f8", (3,))
    for name in sorted({key for f in frames for key in f.arrays}):
        columns |= _extra_columns(frames, name)
    for name, mappings in (
        ("parameters", [o.parameters for o in origins]),
        ("info", [f.info for f in frames]),
    ):
        blobs = [encode_metadata(mapping) for mapping in mappings]
        columns[name] = np.frombuffer(b"".join(blobs), dtype="u1")
        columns[f"{name}_offsets"] = np.concatenate(
            [[0], np.cumsum([len(blob) for blob in blobs])]
        ).astype(np.int64)
    return columns


def _stacked(blocks: list[Any], dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    empty: NDArray[Any] = np.zeros((0, *shape), dtype)
    return np.concatenate([empty, *blocks]).astype(dtype, copy=False)


def _extra_columns(frames: list[Frame], name: str) -> dict[str, Any]:
    if name in {"", ".", ".."} or set(name) & {"/", "\0"}:
        raise DataError(f"per-atom array '{name}' has a name that HDF5 cannot keep")
    values = [np.asarray(f.arrays[name]) for f in frames if name in f.arrays]
    kinds = {(array.dtype, array.shape[1:]) for array in values}
    if len(kinds) > 1 or next(iter(kinds))[0].kind not in "biufS":
        raise DataError(
            f"per-atom array '{name}' cannot be kept losslessly",
            hint="it must be numeric or bytes, with one type and shape in all frames",
        )
    dtype, shape = kinds.pop()
    blocks = [
        np.asarray(f.arrays[name]) if name in f.arrays else np.zeros((len(f), *shape), dtype)
        for f in frames
    ]
    mask = np.array([name in f.arrays for f in frames], dtype=np.bool_)
    return {EXTRA + name: np.concatenate(blocks), "has_" + EXTRA + name: mask}


class Block:
    """Consecutive frames of some columns; it reads small values at once, atoms when needed.

    Args:
        columns: Arrays or their on-disk stand-ins.
        start: Row of the first frame.
        stop: Row after the last frame.
        own: Whether each frame gets its own arrays, so that a frame does not keep the whole block
            in memory.
    """

    __slots__ = ("_edges", "_extras", "_own", "_ragged", "_rows")

    def __init__(
        self, columns: Mapping[str, Any], start: int, stop: int, *, own: bool = False
    ) -> None:
        """Read the columns with one row per frame, and short columns of elements and texts."""
        self._own = own
        self._rows = np.empty(stop - start, _ROW)
        for name in PER_FRAME:
            self._rows[name] = columns[name][start:stop]
        self._rows.setflags(write=False)
        self._edges = {axis: columns[axis][start : stop + 1].tolist() for axis in axes(())}
        self._extras = {
            name.removeprefix(EXTRA): columns["has_" + name][start:stop].tolist()
            for name in columns
            if name.startswith(EXTRA)
        }
        names = [*PER_ATOM, *TEXT, *(EXTRA + name for name in self._extras)]
        self._ragged = {name: (columns[name], 0) for name in names}
        for name in _SHORT:
            edges = self._edges[_axis(name)]
            if edges[-1] - edges[0] <= _KEPT:
                self._ragged[name] = columns[name][edges[0] : edges[-1]], edges[0]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self._rows)

    def frame(self, row: int) -> Frame:
        """One frame, not quantised again; its arrays are read-only.

        Args:
            row: Row within the block, from 0.

        Raises:
            DataError: Its texts or metadata are damaged.
        """
        try:
            return self._frame(row)
        except UnicodeDecodeError as error:
            raise DataError("the texts of a frame are damaged") from error

    def _frame(self, row: int) -> Frame:
        values = dict(zip(PER_FRAME, self._rows.item(row), strict=True))
        split = values["split"]
        return Frame(
            numbers=self._atoms("numbers", row, np.int64),
            positions=self._atoms("positions", row),
            cell=self._small(values["cell"]),
            pbc=self._small(values["pbc"]),
            id=values["id"].decode(),
            labels=self._labels(row, values),
            origin=self._origin(row, values),
            split=SPLITS[split - 1] if split else None,
            arrays={n: self._atoms(EXTRA + n, row) for n, has in self._extras.items() if has[row]},
            info=self._text("info", row),
        )

    def _labels(self, row: int, values: Mapping[str, Any]) -> Labels:
        return Labels(
            values["energy"] if values["has_energy"] else None,
            self._atoms("forces", row) if values["has_forces"] else None,
            self._small(values["stress"]) if values["has_stress"] else None,
            values["theory"].decode(),
        )

    def _origin(self, row: int, values: Mapping[str, Any]) -> Origin:
        return Origin(
            strategy=values["strategy"].decode(),
            parent=values["parent"].decode(),
            parameters=self._text("parameters", row),
            seed=None if values["seed"] < 0 else values["seed"],
            trajectory=values["trajectory"].decode(),
            iteration=values["iteration"],
        )

    def _small(self, values: NDArray[Any]) -> NDArray[Any]:
        if self._own:
            values = values.copy()
            values.setflags(write=False)
        return values

    def _atoms(self, name: str, row: int, dtype: Any = None) -> NDArray[Any]:
        values = self._slice(name, row)
        if dtype is not None:
            values = values.astype(dtype)
        elif self._own and isinstance(self._ragged[name][0], np.ndarray):
            values = values.copy()
        values.setflags(write=False)
        return values

    def _text(self, name: str, row: int) -> dict[str, Any]:
        return decode_metadata(self._slice(name, row).tobytes())

    def _slice(self, name: str, row: int) -> NDArray[Any]:
        edges, (column, first) = self._edges[_axis(name)], self._ragged[name]
        values: NDArray[Any] = column[edges[row] - first : edges[row + 1] - first]
        return values


def frames_of(columns: Mapping[str, Any], *, own: bool = False) -> Iterator[Frame]:
    """Frames of in-memory columns, see ``Block``."""
    block = Block(columns, 0, len(columns["energy"]), own=own)
    return map(block.frame, range(len(block)))
