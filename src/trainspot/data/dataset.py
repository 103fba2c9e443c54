"""Many frames in columns: ``Dataset``, the currency that every stage takes and returns.

A dataset is a mapping of column names to arrays, in memory or on disk (``hdf5``). Ragged columns
hold the atoms of all frames, one frame after another; ``offsets`` holds the start of each frame.
The HDF5 layout has the same columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from ase.data import chemical_symbols

from trainspot.common.errors import DataError
from trainspot.data.columns import (
    EXTRA,
    PER_FRAME,
    Block,
    axes,
    columns_of,
    fixed_width,
    frames_of,
    frozen,
    is_mask,
)
from trainspot.data.frames import SPLITS, Frame, Split
from trainspot.data.isolated import isolated_atoms, reference_atoms
from trainspot.data.rows import (
    concatenated,
    merged,
    parts,
    relabelled,
    taken,
    unlabelled,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

CHUNK: Final = 512
"""Frames that an iteration over a dataset holds in memory at a time."""

_WINDOW: Final = 16 * CHUNK  # rows that a view checks at a time
_BLOCKS: Final = 128  # chunks in the cache for single frames: 65536 frames, 55 MB at most


class Dataset(Sequence[Frame]):
    """An immutable, columnar sequence of frames.

    Args:
        columns: Arrays, or anything that slices like one, for every name of ``PER_FRAME``,
            ``PER_ATOM``, ``TEXT`` with offsets, and any extras. Not copied.
    """

    __slots__ = ("_blocks", "_cache", "_columns")

    def __init__(self, columns: Mapping[str, Any]) -> None:
        """Wrap columns; ``from_frames``, ``hdf5.read`` and ``io.read`` return datasets."""
        self._columns = columns
        self._cache: dict[str, NDArray[Any]] = {}
        self._blocks: dict[int, Block] = {}

    def __reduce__(self) -> Any:
        """Send only the columns to another process."""
        return Dataset, (self._columns,)

    # ── making ────────────────────────────────────────────────────────────────
    @classmethod
    def from_frames(cls, frames: Iterable[Frame]) -> Dataset:
        """A dataset of the frames in their order.

        Raises:
            DataError: Metadata that cannot be stored losslessly, or extras that do not agree.
        """
        return cls(columns_of(list(frames)))

    @classmethod
    def concatenate(cls, datasets: Iterable[Dataset]) -> Dataset:
        """All frames of all datasets in order, duplicates included; see ``merge``.

        Raises:
            DataError: Per-atom extras of one name with different shapes.
        """
        parts = [part for part in datasets if len(part)]
        if not parts:
            return cls.from_frames([])
        return parts[0] if len(parts) == 1 else cls(concatenated([p.columns for p in parts]))

    def merge(self, *others: Dataset, tell: Callable[[str], object] | None = None) -> Dataset:
        """The union by frame id, in order of first appearance.

        If any copy of a frame has a split, the frame keeps it: a test frame that exploration meets
        again is never used for training. Labels, info and extras come from one copy, the copy with
        the most complete labels (energy and forces, then stress). Among equally complete copies it
        is the one with the lowest energy, which is closest to the ground state of its level of
        theory. The origin comes from the oldest copy, by iteration. The dataset of a copy affects
        only the order.

        Args:
            others: More datasets.
            tell: Called with a summary of the merge, if there were copies.

        Raises:
            DataError: A frame is in two splits, has labels at two levels of theory, or has two
                labels from calculations that differ in something.
        """
        together = Dataset.concatenate([self, *others])
        columns = {name: together.column(name) for name in together.columns}
        if len(set(together.ids)) == len(together):
            return Dataset(columns)
        columns, messages = merged(columns)
        if tell is not None:
            tell("; ".join(messages))
        return Dataset(columns)

    # ── sizes and columns ─────────────────────────────────────────────────────
    def __len__(self) -> int:
        """Number of frames."""
        return int(self._columns["energy"].shape[0])

    @property
    def columns(self) -> Mapping[str, Any]:
        """All columns by name; arrays or their on-disk stand-ins."""
        return self._columns

    def column(self, name: str) -> NDArray[Any]:
        """One whole column as an array; a column on disk is read once."""
        if name not in self._cache:
            self._cache[name] = frozen(self._columns[name])
        return self._cache[name]

    @property
    def extras(self) -> list[str]:
        """Names of the per-atom extras."""
        return sorted(k.removeprefix(EXTRA) for k in self._columns if k.startswith(EXTRA))

    @property
    def n_atoms(self) -> NDArray[np.int64]:
        """Atoms in each frame, (N,)."""
        return np.diff(self.column("offsets"))

    @property
    def ids(self) -> list[str]:
        """Frame ids in order."""
        return [identity.decode() for identity in self.column("id").tolist()]

    @property
    def is_labelled(self) -> NDArray[np.bool_]:
        """Which frames have an energy and forces, (N,)."""
        labelled: NDArray[np.bool_] = self.column("has_energy") & self.column("has_forces")
        return labelled

    @property
    def is_isolated(self) -> NDArray[np.bool_]:
        """Which frames are isolated atoms, (N,), see ``isolated``."""
        return isolated_atoms(self._columns)

    @property
    def species(self) -> list[str]:
        """Chemical symbols present, by atomic number."""
        return [chemical_symbols[z] for z in np.unique(self.column("numbers"))]

    @property
    def theories(self) -> list[str]:
        """Levels of theory of the labelled frames, sorted."""
        return sorted({t.decode() for t in self.column("theory")[self.is_labelled].tolist()})

    def counts(self, name: str) -> dict[str, int]:
        """How often each value of a text column such as ``strategy`` or ``theory`` occurs."""
        return dict(Counter(value.decode() for value in self.column(name).tolist()))

    def e0s(self, theory: str | None = None) -> dict[int, float]:
        """Energy (eV) of the isolated atom of each element that has one.

        Ions do not count; ``isolated`` defines an isolated atom. If an element has several atoms,
        the lowest energy counts: the atoms differ in their spin state or in the convergence of the
        calculation, and the reference is the ground state.

        Args:
            theory: Level of theory of the labels; optional if all atoms have the same level.

        Raises:
            DataError: Atoms at several levels of theory, and ``theory`` is not given.
        """
        alone = reference_atoms(self._columns) & self.column("has_energy")
        theories = self.column("theory")
        if theory is not None:
            alone &= theories == theory.encode()
        elif len(levels := np.unique(theories[alone])) > 1:
            names = ", ".join(f"'{name.decode()}'" for name in levels)
            raise DataError(f"isolated atoms at several levels of theory: {names}", hint="name one")
        rows = np.flatnonzero(alone)
        numbers = self.column("numbers")[self.column("offsets")[rows]]
        energies = self.column("energy")[rows]
        order = np.argsort(-energies, kind="stable")  # of equal keys a dict keeps the last value
        lowest = dict(zip(numbers[order].tolist(), energies[order].tolist(), strict=True))
        return dict(sorted(lowest.items()))

    # ── frames ────────────────────────────────────────────────────────────────
    def __getitem__(self, index: Any) -> Any:
        """A frame for an integer, a dataset for a slice, a mask or a list of integers."""
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step == 1:  # neighbours: read nothing else
                return Dataset(self._rows(start, max(start, stop)))
            return self.take(range(start, stop, step))
        if not isinstance(index, int) and np.ndim(index):
            return self.take(index)
        number, row = divmod(range(len(self))[index], CHUNK)
        return self._block(number).frame(row)

    def __iter__(self) -> Iterator[Frame]:
        """Frames in order, read in chunks: constant memory however long the dataset."""
        own = self._is_on_disk
        for start in range(0, len(self), CHUNK):  # the last chunk is free before the next read
            yield from frames_of(self._rows(start, min(start + CHUNK, len(self))), own=own)

    def frames(
        self, *, split: Split | None = None, labelled: bool | None = None
    ) -> Iterator[Frame]:
        """Frames of a view in order, read in chunks: constant memory however long the dataset.

        Args:
            split: Only frames of this split.
            labelled: Only frames with energy and forces, or only frames without.
        """
        if split is None and labelled is None:
            yield from self
            return
        for rows in self._view(split, labelled):
            for start in range(0, len(rows), CHUNK):
                chosen = rows[start : start + CHUNK]
                yield from frames_of(self.take(chosen).columns, own=True)

    def rows(self, *, split: Split | None = None, labelled: bool | None = None) -> NDArray[np.intp]:
        """Row numbers of a view, see ``frames``; reads only the columns that decide them."""
        return np.concatenate([np.zeros(0, np.intp), *self._view(split, labelled)])

    def _view(self, split: Split | None, labelled: bool | None) -> Iterator[NDArray[np.intp]]:
        """Row numbers of a view, piece by piece."""
        for start in range(0, len(self), _WINDOW):
            window = slice(start, start + _WINDOW)
            mask = np.ones(len(self._columns["split"][window]), dtype=np.bool_)
            if split is not None:
                mask &= self._columns["split"][window] == 1 + SPLITS.index(split)
            if labelled is not None:
                complete = self._columns["has_energy"][window] & self._columns["has_forces"][window]
                mask &= complete == labelled
            yield start + np.flatnonzero(mask)

    def chunks(self, size: int) -> Iterator[Dataset]:
        """Consecutive in-memory datasets of at most ``size`` frames."""
        for start in range(0, len(self), size):
            yield Dataset(self._rows(start, min(start + size, len(self))))

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """The row of a frame or a frame id.

        Raises:
            ValueError: The dataset does not have this frame.
        """
        identity = _identity(value)
        rows = np.flatnonzero(self.column("id")[start:stop] == identity.encode())
        if not len(rows):
            raise ValueError(f"no frame {identity[:12]} in this dataset")
        return range(len(self))[start:stop][int(rows[0])]

    def count(self, value: Any) -> int:
        """How many rows hold this frame or frame id."""
        return int(np.count_nonzero(self.column("id") == _identity(value).encode()))

    def __contains__(self, value: object) -> bool:
        """Whether the dataset has a frame or a frame id."""
        return self.count(value) > 0

    def by_id(self, identity: str) -> Frame:
        """The frame with this id; ``ValueError`` if there is none."""
        frame: Frame = self[self.index(identity)]
        return frame

    # ── selections and changes: always a new dataset ──────────────────────────
    def take(self, rows: ArrayLike | range) -> Dataset:
        """The given rows in the given order, negative ones from the end; a boolean mask selects.

        Raises:
            IndexError: A row that does not exist.
            ValueError: A mask of another length.
        """
        columns = {**self._columns, **self._cache}  # no column is read twice
        return Dataset(taken(columns, self._checked(rows)))

    def part(self, rows: ArrayLike | range) -> Dataset:
        """The same as ``take``, but a dataset on disk is read only when a column is used.

        Raises:
            IndexError: A row that does not exist.
            ValueError: A mask of another length.
        """
        return Dataset(parts(self._columns, self._checked(rows)))

    def _checked(self, rows: ArrayLike | range) -> NDArray[np.int64]:
        """Row numbers, none negative."""
        chosen = np.asarray(rows)
        if chosen.dtype == np.bool_:
            if chosen.shape != (len(self),):
                raise ValueError(f"mask of shape {chosen.shape} for {len(self)} frames")
            chosen = np.flatnonzero(chosen)
        if chosen.size and chosen.dtype.kind not in "iu":
            raise TypeError(f"rows are integers, not {chosen.dtype}")
        chosen = chosen.astype(np.int64)
        if np.any((chosen < -len(self)) | (chosen >= len(self))):
            raise IndexError(f"row out of range in a dataset of {len(self)} frames")
        return np.where(chosen < 0, chosen + len(self), chosen)

    def filter(self, keep: Callable[[Frame], bool]) -> Dataset:
        """The frames for which ``keep`` is true."""
        return self.take(np.array([bool(keep(frame)) for frame in self], dtype=np.bool_))

    def select(self, ids: Iterable[str]) -> Dataset:
        """The frames with these ids, in the order of the ids; ``ValueError`` for a foreign id."""
        rows = {identity: row for row, identity in enumerate(self.ids)}
        try:
            return self.take([rows[identity] for identity in ids])
        except KeyError as error:
            raise ValueError(f"no frame {error.args[0][:12]} in this dataset") from None

    def without(self, ids: Iterable[str]) -> Dataset:
        """The frames whose id is not among these."""
        out = set(ids)
        return self.take(np.array([i not in out for i in self.ids], dtype=np.bool_))

    def labelled(self) -> Dataset:
        """Frames with energy and forces; others are ``unlabelled``."""
        return self.take(self.rows(labelled=True))

    def unlabelled(self) -> Dataset:
        """Frames that lack an energy or forces."""
        return self.take(self.rows(labelled=False))

    def subset(self, split: Split) -> Dataset:
        """Frames of one split."""
        return self.take(self.rows(split=split))

    def with_columns(self, **columns: ArrayLike) -> Dataset:
        """The same frames with some per-frame columns replaced (not ``id`` or the geometry)."""
        changed = dict(self._columns)
        for name, values in columns.items():
            if name not in PER_FRAME or name in {"id", "cell", "pbc"}:
                raise ValueError(f"column '{name}' cannot be replaced")
            dtype, shape = PER_FRAME[name]
            if dtype.startswith("S"):
                texts = values.tolist() if isinstance(values, np.ndarray) else values
                array: NDArray[Any] = fixed_width(name, cast("Sequence[str | bytes]", texts))
            else:
                array = np.asarray(values)
            if array.shape != (len(self), *shape):
                raise ValueError(f"column '{name}' has shape {array.shape}")
            changed[name] = array.astype(dtype)
        return Dataset(changed)

    def without_labels(self) -> Dataset:
        """The same frames without energy, forces, stress and theory."""
        return Dataset({**self._columns, **unlabelled(self._columns)})

    def with_labels_of(self, source: Dataset) -> Dataset:
        """The same frames; frames with labels in ``source`` get these labels and their theory."""
        return Dataset(relabelled(self._columns, source.columns))

    @property
    def _is_on_disk(self) -> bool:
        return not isinstance(self._columns["positions"], np.ndarray)

    def _block(self, number: int) -> Block:
        """A chunk for access to single frames; the cache keeps the chunks that were used last."""
        block = self._blocks.pop(number, None)
        if block is None:
            start = number * CHUNK
            block = Block(self._columns, start, min(start + CHUNK, len(self)), own=self._is_on_disk)
            if len(self._blocks) >= _BLOCKS:
                del self._blocks[next(iter(self._blocks))]
        self._blocks[number] = block  # last in order
        return block

    def _rows(self, start: int, stop: int) -> dict[str, Any]:
        """Columns of consecutive frames as plain arrays, reading nothing else."""
        columns = {name: self._columns[name][start:stop] for name in PER_FRAME}
        for axis, names in axes(self._columns).items():
            edges = np.asarray(self._columns[axis][start : stop + 1])
            columns[axis] = edges - edges[0]
            columns |= {n: self._columns[n][edges[0] : edges[-1]] for n in names}
        columns |= {n: self._columns[n][start:stop] for n in self._columns if is_mask(n)}
        return columns


def _identity(value: Any) -> str:
    return value.id if isinstance(value, Frame) else str(value)
