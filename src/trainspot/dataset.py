"""Many frames in columns: ``Dataset``, the currency every stage takes and returns.

A dataset is a mapping of column names to arrays, in memory or on disk (``store``). Atoms of all
frames follow one another in ragged columns; ``offsets`` tells where each frame starts. The same
columns are the HDF5 layout, see ``store``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.data import chemical_symbols

from trainspot.errors import DataError
from trainspot.frames import SPLITS, Frame, Labels, Origin, Split

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

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
"""Columns with one row a frame: dtype and shape of a row. ``split`` 0 is none, else 1 + index in
``SPLITS``; ``seed`` -1 is none; a value whose ``has_…`` is false is zero."""

PER_ATOM: Final[Mapping[str, tuple[str, tuple[int, ...]]]] = {
    "numbers": ("u1", ()),
    "positions": ("f8", (3,)),
    "forces": ("f8", (3,)),
}
"""Ragged columns with one row an atom, cut by ``offsets``."""

TEXT: Final = ("parameters", "info")
"""Ragged columns of UTF-8 JSON bytes, each cut by its own ``<name>_offsets``."""

EXTRA: Final = "arrays/"
"""Prefix of per-atom extras; ``has_arrays/<name>`` tells which frames have one."""

_CHUNK: Final = 512


class Dataset(Sequence[Frame]):
    """An immutable, columnar sequence of frames.

    Args:
        columns: Arrays, or anything that slices like one, for every name of ``PER_FRAME``,
            ``PER_ATOM``, ``TEXT`` with offsets, and any extras. Not copied.
    """

    __slots__ = ("_cache", "_columns")

    def __init__(self, columns: Mapping[str, Any]) -> None:
        """Wrap columns; use ``from_frames``, ``store.read`` or ``io.read`` to get them."""
        self._columns = columns
        self._cache: dict[str, NDArray[Any]] = {}

    # ── making ────────────────────────────────────────────────────────────────
    @classmethod
    def from_frames(cls, frames: Iterable[Frame]) -> Dataset:
        """A dataset of the frames in their order.

        Raises:
            DataError: Metadata that cannot be kept losslessly, or extras that do not agree.
        """
        return cls(_columns_of(list(frames)))

    @classmethod
    def concatenate(cls, datasets: Iterable[Dataset]) -> Dataset:
        """All frames of all datasets in order, duplicates included; see ``merge``.

        Raises:
            DataError: Per-atom extras of one name with different shapes.
        """
        parts = [part for part in datasets if len(part)]
        if not parts:
            return cls.from_frames([])
        return parts[0] if len(parts) == 1 else cls(_concatenated(parts))

    def merge(self, *others: Dataset) -> Dataset:
        """The union by frame id, in order of first appearance.

        Of duplicates the first stays, with its split and origin; if only a later one is labelled
        its labels are taken, so that nothing labelled is lost.

        Raises:
            DataError: One frame labelled at two levels of theory.
        """
        together = Dataset.concatenate([self, *others])
        ids = together.ids
        first = {}
        donors = {}
        labelled = together.is_labelled
        theory = together.column("theory")
        for row, identity in enumerate(ids):
            kept = first.setdefault(identity, row)
            if row == kept or not labelled[row]:
                continue
            source = donors.get(kept, kept)
            if not labelled[source]:
                donors[kept] = row
            elif theory[source] != theory[row]:
                raise DataError(
                    "labelled at two levels of theory, "
                    f"'{theory[source].decode()}' and '{theory[row].decode()}'",
                    where=f"frame {identity[:12]}",
                )
        merged = together.take(list(first.values()))
        return merged.with_labels_of(together.take(list(donors.values()))) if donors else merged

    # ── sizes and columns ─────────────────────────────────────────────────────
    def __len__(self) -> int:
        """Number of frames."""
        return int(self._columns["energy"].shape[0])

    @property
    def columns(self) -> Mapping[str, Any]:
        """All columns by name; arrays or their on-disk stand-ins."""
        return self._columns

    def column(self, name: str) -> NDArray[Any]:
        """One whole column as an array (read from disk once, if it is there)."""
        if name not in self._cache:
            self._cache[name] = np.asarray(self._columns[name][...])
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
        return self.column("has_energy") & self.column("has_forces")

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

    def e0s(self) -> dict[int, float]:
        """Energy (eV) of the isolated atom of each element, from labelled one-atom frames."""
        alone = (self.n_atoms == 1) & self.is_labelled & ~self.column("pbc").any(axis=1)
        rows = np.flatnonzero(alone)
        numbers = self.column("numbers")[self.column("offsets")[rows]]
        energies = self.column("energy")[rows]
        return {int(z): float(e) for z, e in zip(numbers, energies, strict=True)}

    # ── frames ────────────────────────────────────────────────────────────────
    def __getitem__(self, index: Any) -> Any:
        """A frame for an integer, a dataset for a slice, a mask or a list of integers."""
        if isinstance(index, slice):
            return self.take(range(*index.indices(len(self))))
        if np.ndim(index):
            return self.take(index)
        row = range(len(self))[index]
        return next(_frames_of(self._rows(row, row + 1)))

    def __iter__(self) -> Iterator[Frame]:
        """Frames in order, read in chunks: constant memory however long the dataset."""
        for chunk in self.chunks(_CHUNK):
            yield from _frames_of(chunk._columns)

    def chunks(self, size: int) -> Iterator[Dataset]:
        """Consecutive in-memory datasets of at most ``size`` frames."""
        for start in range(0, len(self), size):
            yield Dataset(self._rows(start, min(start + size, len(self))))

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """The row of a frame or a frame id.

        Raises:
            ValueError: It is not here.
        """
        identity = value.id if isinstance(value, Frame) else str(value)
        rows = np.flatnonzero(self.column("id")[start:stop] == identity.encode())
        if not len(rows):
            raise ValueError(f"no frame {identity[:12]} in this dataset")
        return int(rows[0]) + start

    def by_id(self, identity: str) -> Frame:
        """The frame with this id; ``ValueError`` if there is none."""
        frame: Frame = self[self.index(identity)]
        return frame

    # ── selections and changes: always a new dataset ──────────────────────────
    def take(self, rows: ArrayLike | range) -> Dataset:
        """The given rows in the given order; a boolean mask selects."""
        chosen = np.asarray(rows)
        if chosen.dtype == np.bool_:
            if chosen.shape != (len(self),):
                raise ValueError(f"mask of shape {chosen.shape} for {len(self)} frames")
            chosen = np.flatnonzero(chosen)
        return Dataset(_taken(self, chosen.astype(np.int64)))

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
        """Frames with energy and forces."""
        return self.take(self.is_labelled)

    def unlabelled(self) -> Dataset:
        """Frames without energy or forces."""
        return self.take(~self.is_labelled)

    def subset(self, split: Split) -> Dataset:
        """Frames of one set."""
        return self.take(self.column("split") == 1 + SPLITS.index(split))

    def with_columns(self, **columns: ArrayLike) -> Dataset:
        """The same frames with some per-frame columns replaced (not ``id`` or the geometry)."""
        changed = dict(self._columns)
        for name, values in columns.items():
            if name not in PER_FRAME or name in {"id", "cell", "pbc"}:
                raise ValueError(f"column '{name}' cannot be replaced")
            dtype, shape = PER_FRAME[name]
            array = np.asarray(values)
            if dtype.startswith("S"):
                array = _fixed(name, array.astype("S").tolist())
            if array.shape != (len(self), *shape):
                raise ValueError(f"column '{name}' has shape {array.shape}")
            changed[name] = array.astype(dtype)
        return Dataset(changed)

    def with_labels_of(self, source: Dataset) -> Dataset:
        """The same frames; those whose id is in ``source`` get its labels and theory."""
        names = ("energy", "stress", "has_energy", "has_forces", "has_stress", "theory")
        changed = dict(self._columns) | {n: self.column(n).copy() for n in (*names, "forces")}
        rows = {identity: row for row, identity in enumerate(source.ids)}
        pairs = [(i, rows[identity]) for i, identity in enumerate(self.ids) if identity in rows]
        mine, theirs = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        for name in names:
            changed[name][mine] = source.column(name)[theirs]
        changed["forces"][_ragged(self.column("offsets"), mine)] = source.column("forces")[
            _ragged(source.column("offsets"), theirs)
        ]
        return Dataset(changed)

    def _rows(self, start: int, stop: int) -> dict[str, Any]:
        """Columns of consecutive frames as plain arrays, reading nothing else."""
        columns = {name: self._columns[name][start:stop] for name in PER_FRAME}
        for axis, names in _axes(self._columns).items():
            edges = np.asarray(self._columns[axis][start : stop + 1])
            columns[axis] = edges - edges[0]
            columns |= {n: self._columns[n][edges[0] : edges[-1]] for n in names}
        columns |= {n: self._columns[n][start:stop] for n in self._columns if _is_mask(n)}
        return columns


def _is_mask(name: str) -> bool:
    return name.startswith("has_" + EXTRA)


def _axes(columns: Iterable[str]) -> dict[str, list[str]]:
    """For each offsets column the ragged columns it cuts."""
    atoms = [*PER_ATOM, *(name for name in columns if name.startswith(EXTRA))]
    return {"offsets": atoms} | {f"{name}_offsets": [name] for name in TEXT}


def _ragged(offsets: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions in a ragged column of the given rows, one after the other."""
    starts, lengths = offsets[rows], np.diff(offsets)[rows]
    shift = np.repeat(starts - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
    return np.asarray(np.arange(lengths.sum()) + shift, dtype=np.int64)


def _taken(dataset: Dataset, rows: NDArray[np.int64]) -> dict[str, Any]:
    columns = {name: dataset.column(name)[rows] for name in PER_FRAME}
    for axis, names in _axes(dataset.columns).items():
        offsets = dataset.column(axis)
        where = _ragged(offsets, rows)
        columns[axis] = np.concatenate([[0], np.cumsum(np.diff(offsets)[rows])]).astype(np.int64)
        columns |= {name: dataset.column(name)[where] for name in names}
    columns |= {n: dataset.column(n)[rows] for n in dataset.columns if _is_mask(n)}
    return columns


def _concatenated(parts: Sequence[Dataset]) -> dict[str, Any]:
    columns: dict[str, Any] = {
        name: np.concatenate([part.column(name) for part in parts])
        for name in (*PER_FRAME, *PER_ATOM, *TEXT)
    }
    for axis in _axes(()):
        lengths = np.concatenate([np.diff(part.column(axis)) for part in parts])
        columns[axis] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    for name in sorted(reduce(set.union, (set(part.extras) for part in parts))):
        blocks = [_extra_block(part, name) for part in parts]
        model = next(block for block in blocks if block is not None)
        pieces = [
            np.zeros((int(part.n_atoms.sum()), *model.shape[1:]), model.dtype) if b is None else b
            for part, b in zip(parts, blocks, strict=True)
        ]
        if len({(piece.dtype, piece.shape[1:]) for piece in pieces}) > 1:
            raise DataError(f"per-atom array '{name}' has different types or shapes in two frames")
        columns[EXTRA + name] = np.concatenate(pieces)
        masks = [
            np.zeros(len(part), np.bool_) if b is None else part.column("has_" + EXTRA + name)
            for part, b in zip(parts, blocks, strict=True)
        ]
        columns["has_" + EXTRA + name] = np.concatenate(masks)
    return columns


def _extra_block(part: Dataset, name: str) -> NDArray[Any] | None:
    return part.column(EXTRA + name) if EXTRA + name in part.columns else None


def _fixed(name: str, values: Sequence[str | bytes]) -> NDArray[np.bytes_]:
    """Short ASCII texts as a fixed-width column; refused rather than truncated."""
    dtype = PER_FRAME[name][0]
    encoded = [v if isinstance(v, bytes) else v.encode("utf-8") for v in values]
    for value in encoded:
        if len(value) > int(dtype[1:]) or value.endswith(b"\0"):
            raise DataError(f"'{value.decode()}' does not fit in column '{name}' ({dtype[1:]} B)")
    return np.array(encoded, dtype=dtype)


def _json_default(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return {"__ndarray__": value.tolist(), "dtype": value.dtype.str, "shape": value.shape}
    if isinstance(value, np.generic) and value.dtype.kind in "biuf":
        return {"__numpy__": value.item(), "dtype": value.dtype.str}
    raise DataError(
        f"metadata of type {type(value).__name__} cannot be kept losslessly",
        hint="use text, numbers, lists, dictionaries or numeric arrays",
    )


def _json_object(value: dict[str, Any]) -> Any:
    if value.keys() == {"__ndarray__", "dtype", "shape"}:
        flat = np.array(value["__ndarray__"], dtype=value["dtype"])
        return flat.reshape(value["shape"])
    if value.keys() == {"__numpy__", "dtype"}:
        return np.dtype(value["dtype"]).type(value["__numpy__"])
    return value


def _dump(mapping: Mapping[str, Any]) -> bytes:
    if not mapping:
        return b""
    text = json.dumps(dict(mapping), default=_json_default, sort_keys=True, ensure_ascii=False)
    if _load(text.encode()).keys() != mapping.keys():
        raise DataError("metadata with keys that are not text cannot be kept losslessly")
    return text.encode()


def _load(text: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text, object_hook=_json_object) if text else {}
    return found


def _columns_of(frames: list[Frame]) -> dict[str, Any]:
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
            _fixed(name, values)
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
        blobs = [_dump(mapping) for mapping in mappings]
        columns[name] = np.frombuffer(b"".join(blobs), dtype="u1")
        columns[f"{name}_offsets"] = np.concatenate(
            [[0], np.cumsum([len(blob) for blob in blobs])]
        ).astype(np.int64)
    return columns


def _stacked(blocks: list[Any], dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    empty: NDArray[Any] = np.zeros((0, *shape), dtype)
    return np.concatenate([empty, *blocks]).astype(dtype, copy=False)


def _extra_columns(frames: list[Frame], name: str) -> dict[str, Any]:
    found = [np.asarray(f.arrays[name]) for f in frames if name in f.arrays]
    kinds = {(array.dtype, array.shape[1:]) for array in found}
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


def _frames_of(columns: Mapping[str, Any]) -> Iterator[Frame]:
    """Frames of in-memory columns, without quantising again."""
    edges = columns["offsets"].tolist()
    texts = {n: (bytes(columns[n]), columns[f"{n}_offsets"].tolist()) for n in TEXT}
    extras = [name.removeprefix(EXTRA) for name in columns if name.startswith(EXTRA)]
    ids, theories = columns["id"].tolist(), columns["theory"].tolist()
    for row, identity in enumerate(ids):
        atoms = slice(edges[row], edges[row + 1])
        text = {n: blob[o[row] : o[row + 1]] for n, (blob, o) in texts.items()}
        seed, split = int(columns["seed"][row]), int(columns["split"][row])
        yield Frame(
            numbers=columns["numbers"][atoms].astype(np.int64),
            positions=columns["positions"][atoms],
            cell=columns["cell"][row],
            pbc=columns["pbc"][row],
            id=identity.decode(),
            labels=Labels(
                float(columns["energy"][row]) if columns["has_energy"][row] else None,
                columns["forces"][atoms] if columns["has_forces"][row] else None,
                columns["stress"][row] if columns["has_stress"][row] else None,
                theories[row].decode(),
            ),
            origin=Origin(
                strategy=columns["strategy"][row].decode(),
                parent=columns["parent"][row].decode(),
                parameters=_load(text["parameters"]),
                seed=None if seed < 0 else seed,
                trajectory=columns["trajectory"][row].decode(),
                iteration=int(columns["iteration"][row]),
            ),
            split=SPLITS[split - 1] if split else None,
            arrays={
                n: columns[EXTRA + n][atoms] for n in extras if columns["has_" + EXTRA + n][row]
            },
            info=_load(text["info"]),
        )
