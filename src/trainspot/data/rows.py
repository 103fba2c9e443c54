"""Operations on rows of columns: selection, concatenation, and merging without loss.

All functions take and return columns (see ``columns``); ``Dataset`` has methods for them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from trainspot.common.errors import DataError
from trainspot.common.text import counted
from trainspot.data.columns import (
    EXTRA,
    PER_ATOM,
    PER_FRAME,
    TEXT,
    axes,
    fixed_width,
    is_mask,
    ragged,
    spread,
)
from trainspot.data.frames import SPLITS
from trainspot.data.metadata import decode_metadata, encode_metadata

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS: Final = ("energy", "stress", "has_energy", "has_forces", "has_stress", "theory")
"""Per-frame columns of the labels; ``forces`` is their per-atom column."""

ORIGIN: Final = ("iteration", "strategy", "parent", "trajectory", "seed")
"""Per-frame columns of the origin, without its parameters."""

_SAME_ENERGY: Final = 1e-4  # eV/atom; largest difference between two runs of one calculation
_SAME_FORCE: Final = 5e-3  # eV/Å, likewise
_BLOCK_BYTES: Final = 1 << 18  # bytes that one read takes from a column on disk
_BLOCK_ROWS: Final = 1 << 16


def picked(column: Any, rows: NDArray[np.int64]) -> NDArray[Any]:
    """The given rows (none negative) of a column; on disk only the blocks around them are read."""
    if isinstance(column, np.ndarray):
        return np.asarray(column[rows])
    values = np.empty((len(rows), *column.shape[1:]), column.dtype)
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    row_bytes = max(1, values.dtype.itemsize * int(np.prod(column.shape[1:], dtype=np.int64)))
    step = max(1, _BLOCK_BYTES // row_bytes)
    cuts = np.flatnonzero(np.diff(ordered // step)) + 1
    for start, stop in pairwise([0, *cuts.tolist(), len(rows)] if len(rows) else []):
        low, high = int(ordered[start]), int(ordered[stop - 1]) + 1
        block = np.asarray(column[low:high])
        values[order[start:stop]] = block[ordered[start:stop] - low]
    return values


class Part:
    """Some rows of a column, in runs, which are read when they are used.

    Args:
        column: An array or its on-disk stand-in.
        starts: First row of each run, (R,), none negative.
        edges: Start of each run within the part, and the end of the last run, (R + 1,).
    """

    __slots__ = ("_column", "_edges", "_starts", "dtype", "shape")

    def __init__(self, column: Any, starts: NDArray[np.int64], edges: NDArray[np.int64]) -> None:
        """Store the row numbers; reads nothing."""
        self._column, self._starts, self._edges = column, starts, edges
        self.dtype: np.dtype[Any] = column.dtype
        self.shape: tuple[int, ...] = (int(edges[-1]), *column.shape[1:])

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __len__(self) -> int:
        """Number of rows."""
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Consecutive rows, or all of them (``...``), as a new array."""
        start, stop, step = (slice(None) if key is Ellipsis else key).indices(len(self))
        if step != 1:
            raise IndexError("rows of a part are read one after another")
        values = np.empty((max(0, stop - start), *self.shape[1:]), self.dtype)
        for low in range(start, stop, _BLOCK_ROWS):  # row numbers may need more memory than rows
            high = min(low + _BLOCK_ROWS, stop)
            values[low - start : high - start] = picked(self._column, self._rows(low, high))
        return values

    def _rows(self, start: int, stop: int) -> NDArray[np.int64]:
        """Rows of the column for consecutive rows of the part; at least one."""
        first = int(np.searchsorted(self._edges, start, side="right")) - 1
        last = int(np.searchsorted(self._edges, stop, side="left"))
        edges = self._edges[first : last + 1]
        skipped = start - int(edges[0])
        rows = spread(self._starts[first:last], np.diff(edges))
        return rows[skipped : skipped + stop - start]


def taken(columns: Mapping[str, Any], rows: NDArray[np.int64]) -> dict[str, Any]:
    """The columns of some frames, by row (none negative), in the given order; all in memory."""
    masks = [name for name in columns if is_mask(name)]
    chosen: dict[str, Any] = {name: picked(columns[name], rows) for name in (*PER_FRAME, *masks)}
    for axis, names in axes(columns).items():
        starts, chosen[axis] = _runs(columns[axis], rows)
        where = spread(starts, np.diff(chosen[axis]))
        chosen |= {name: picked(columns[name], where) for name in names}
    return chosen


def parts(columns: Mapping[str, Any], rows: NDArray[np.int64]) -> dict[str, Any]:
    """The same as ``taken``, but columns are read when they are used; see ``Part``."""
    masks = [name for name in columns if is_mask(name)]
    edges = np.arange(len(rows) + 1)
    chosen: dict[str, Any] = {n: Part(columns[n], rows, edges) for n in (*PER_FRAME, *masks)}
    for axis, names in axes(columns).items():
        starts, chosen[axis] = _runs(columns[axis], rows)
        chosen |= {name: Part(columns[name], starts, chosen[axis]) for name in names}
    return chosen


def _runs(offsets: Any, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Starts of rows in a ragged column, (R,), and their offsets in a new column, (R + 1,)."""
    starts = picked(offsets, rows)
    lengths = picked(offsets, rows + 1) - starts
    return starts, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def concatenated(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The columns of all frames of all parts, in order.

    Raises:
        DataError: Per-atom extras of one name with different types or shapes.
    """
    columns: dict[str, Any] = {
        name: np.concatenate([part[name][...] for part in parts])
        for name in (*PER_FRAME, *PER_ATOM, *TEXT)
    }
    for axis in axes(()):
        lengths = np.concatenate([np.diff(part[axis][...]) for part in parts])
        columns[axis] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    extras = {name for part in parts for name in part if name.startswith(EXTRA)}
    for name in sorted(extras):
        columns |= _concatenated_extra(parts, name)
    return columns


def _concatenated_extra(parts: Sequence[Mapping[str, Any]], name: str) -> dict[str, Any]:
    """One per-atom extra and its mask; the mask is false for parts without this extra."""
    model = next(part[name] for part in parts if name in part)
    pieces = [
        part[name][...]
        if name in part
        else np.zeros((len(part["numbers"]), *model.shape[1:]), model.dtype)
        for part in parts
    ]
    if len({(piece.dtype, piece.shape[1:]) for piece in pieces}) > 1:
        short = name.removeprefix(EXTRA)
        raise DataError(f"per-atom array '{short}' has different types or shapes in two frames")
    mask = "has_" + name
    masks = [
        part[mask][...] if mask in part else np.zeros(len(part["id"]), np.bool_) for part in parts
    ]
    return {name: np.concatenate(pieces), mask: np.concatenate(masks)}


def unlabelled(columns: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """The label columns of frames without labels: zero and empty."""
    return {n: np.zeros(columns[n].shape, columns[n].dtype) for n in (*LABELS, "forces")}


def relabelled(columns: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    """The columns with labels and theories from ``source`` for the frames that it has labelled."""
    changed = dict(columns) | {name: columns[name][...].copy() for name in (*LABELS, "forces")}
    flags = [source[name][...] for name in ("has_energy", "has_forces", "has_stress")]
    rows = np.flatnonzero(np.any(flags, axis=0))
    row_of = dict(zip(source["id"][...][rows].tolist(), rows.tolist(), strict=True))
    ids = columns["id"][...].tolist()
    pairs = [(row, row_of[identity]) for row, identity in enumerate(ids) if identity in row_of]
    mine, theirs = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    for name in LABELS:
        changed[name][mine] = source[name][...][theirs]
    changed["forces"][ragged(columns["offsets"][...], mine)] = source["forces"][...][
        ragged(source["offsets"][...], theirs)
    ]
    return changed


def with_ids(
    columns: Mapping[str, Any], before: Sequence[str], ids: Sequence[str]
) -> dict[str, Any]:
    """The columns with new ids of frames, and of parents whose new id is unique.

    Args:
        columns: Columns of N frames.
        before: Old ids of the frames, (N,).
        ids: New ids of the frames, (N,).
    """
    new_ids: dict[bytes, set[str]] = {}
    for old, new in zip(before, ids, strict=True):
        new_ids.setdefault(old.encode(), set()).add(new)
    id_of = {old: min(new) for old, new in new_ids.items() if len(new) == 1}
    parents = [id_of.get(parent, parent) for parent in columns["parent"][...].tolist()]
    changed = {"id": fixed_width("id", ids), "parent": fixed_width("parent", parents)}
    return {**columns, **changed}


# ── merging ───────────────────────────────────────────────────────────────────
def merged(columns: Mapping[str, NDArray[Any]]) -> tuple[dict[str, Any], list[str]]:
    """Each frame once, in order of first appearance; see ``Dataset.merge`` for the rules.

    Returns:
        The columns, and a message for each change.
    """
    rows: dict[bytes, list[int]] = {}
    for row, identity in enumerate(columns["id"].tolist()):
        rows.setdefault(identity, []).append(row)
    several = {frame: copies for frame, copies in enumerate(rows.values()) if len(copies) > 1}
    origin, content = _origin_rank(columns), _content_rank(columns)
    origins = np.array([copies[0] for copies in rows.values()], dtype=np.int64)
    sources, splits = origins.copy(), columns["split"][origins]
    apart, unlike = [], set[str]()
    for frame, copies in several.items():
        origins[frame] = min(copies, key=origin)
        sources[frame] = min(copies, key=content)
        splits[frame] = _one_split(columns, copies)
        _refuse_two_theories(columns, copies)
        apart.append(_apart(columns, copies))
        unlike.update(*(_differing(columns, sources[frame], row) for row in copies))
    union = taken(columns, sources)
    for name in ORIGIN:
        union[name] = columns[name][origins]
    parameters = taken(columns, origins)
    union |= {name: parameters[name] for name in ("parameters", "parameters_offsets")}
    union["split"] = splits
    return union, _merge_messages(len(columns["id"]) - len(rows), len(several), apart, unlike)


def _merge_messages(
    copies: int, frames: int, apart: Sequence[float], unlike: Collection[str]
) -> list[str]:
    """Messages about a merge; ``unlike`` names metadata and extras in which copies differ."""
    differ = f" (they differ in {', '.join(sorted(unlike))})" if unlike else ""
    messages = [f"{counted(copies, 'duplicate')} of {counted(frames, 'frame')} left out{differ}"]
    if gaps := [gap for gap in apart if gap > 0]:
        messages.append(
            f"{counted(len(gaps), 'frame')} had copies with other labels, up to "
            f"{max(gaps):.3g} eV apart: the most complete one, then the lowest energy, was kept"
        )
    return messages


def _origin_rank(columns: Mapping[str, NDArray[Any]]) -> Callable[[int], tuple[Any, ...]]:
    """The rank of copies for the origin: the oldest copy first, then by content."""
    lists = [columns[name].tolist() for name in ORIGIN]
    text, edges = columns["parameters"], columns["parameters_offsets"]

    def rank(row: int) -> tuple[Any, ...]:
        blob = text[edges[row] : edges[row + 1]].tobytes()
        return (*(values[row] for values in lists), not blob, blob)

    return rank


def _content_rank(columns: Mapping[str, NDArray[Any]]) -> Callable[[int], tuple[Any, ...]]:
    """The rank of copies for labels, info and extras, which all come from one copy.

    The most complete labels come first, then the lowest energy, then the content. The level of
    theory ranks low, because a copy without labels can have one.
    """
    names = ("has_forces", "has_energy", "has_stress", "energy", "theory")
    lists = [columns[name].tolist() for name in names]
    extras = sorted(name for name in columns if name.startswith(EXTRA))
    text, edges = columns["info"], columns["info_offsets"]

    def rank(row: int) -> tuple[Any, ...]:
        forces, energy, stress, value, theory = (values[row] for values in lists)
        atoms = slice(columns["offsets"][row], columns["offsets"][row + 1])
        numbers = columns["forces"][atoms].tobytes() + columns["stress"][row].tobytes()
        complete = (not (forces and energy), not energy, not forces, not stress)
        blobs = [text[edges[row] : edges[row + 1]].tobytes()]
        blobs += [
            columns[name][atoms].tobytes() if columns["has_" + name][row] else b""
            for name in extras
        ]
        content = [(not blob, blob) for blob in blobs]  # empty ones last
        return (*complete, value, numbers, not theory, theory, *content)

    return rank


def _apart(columns: Mapping[str, NDArray[Any]], copies: Sequence[int]) -> float:
    """Difference between the energies of labelled copies, eV; 0 if their labels agree.

    Raises:
        DataError: The labels do not agree, and the copies differ in something else, too. Then they
            are different calculations, and it is unclear which of them belongs to the frame.
    """
    rows = [row for row in copies if columns["has_energy"][row] and columns["has_forces"][row]]
    if len(rows) < 2:
        return 0.0
    energies = columns["energy"][rows]
    n_atoms = int(np.diff(columns["offsets"][rows[0] : rows[0] + 2])[0])
    forces = [columns["forces"][columns["offsets"][row] :][:n_atoms] for row in rows]
    same_energy = np.ptp(energies) <= _SAME_ENERGY * n_atoms
    if same_energy and np.max(np.ptp(forces, axis=0)) <= _SAME_FORCE:
        return 0.0
    low, high = rows[int(np.argmin(energies))], rows[int(np.argmax(energies))]
    if low == high:
        low, high = rows[0], rows[1]
    if names := _differing(columns, low, high):
        raise DataError(
            f"one geometry is labelled twice, {columns['energy'][low]:.10g} and "
            f"{columns['energy'][high]:.10g} eV, and the copies differ in {', '.join(names)}",
            where=f"frames {min(low, high) + 1} and {max(low, high) + 1}",
            hint="keep one of them; charge, multiplicity and initial_magmoms tell calculations "
            "of one geometry apart",
        )
    return max(float(np.ptp(energies)), float(np.finfo(np.float64).tiny))


def _differing(columns: Mapping[str, NDArray[Any]], first: int, second: int) -> list[str]:
    """Names of metadata and extras in which two copies differ."""
    if first == second:
        return []
    edges = columns["info_offsets"]
    texts = [columns["info"][edges[row] : edges[row + 1]].tobytes() for row in (first, second)]
    infos = [decode_metadata(text) for text in texts]
    names = [
        key
        for key in sorted({*infos[0], *infos[1]})
        if encode_metadata({key: infos[0].get(key)}) != encode_metadata({key: infos[1].get(key)})
    ]
    for name in sorted(name for name in columns if name.startswith(EXTRA)):
        blobs = [
            columns[name][columns["offsets"][r] : columns["offsets"][r + 1]].tobytes()
            if columns["has_" + name][r]
            else b""
            for r in (first, second)
        ]
        if blobs[0] != blobs[1]:
            names.append(name.removeprefix(EXTRA))
    return names


def _one_split(columns: Mapping[str, NDArray[Any]], copies: Sequence[int]) -> int:
    splits = sorted({int(columns["split"][row]) for row in copies} - {0})
    if len(splits) > 1:
        raise DataError(
            f"the same geometry is in the splits {' and '.join(SPLITS[s - 1] for s in splits)}",
            where=_place(columns, copies),
            hint="keep one of the copies",
        )
    return splits[0] if splits else 0


def _refuse_two_theories(columns: Mapping[str, NDArray[Any]], copies: Sequence[int]) -> None:
    flags = [columns[name] for name in ("has_energy", "has_forces", "has_stress")]
    labelled = [row for row in copies if any(flag[row] for flag in flags)]
    # A copy with energy and forces replaces a copy with less, whatever its theory.
    complete = [row for row in labelled if flags[0][row] and flags[1][row]]
    labelled = complete or labelled
    theories = sorted({columns["theory"][row].decode() for row in labelled})
    if len(theories) > 1:
        raise DataError(
            f"labelled at two levels of theory, '{theories[0]}' and '{theories[1]}'",
            where=_place(columns, copies),
            hint="keep one of the copies",
        )


def _place(columns: Mapping[str, NDArray[Any]], copies: Sequence[int]) -> str:
    return f"frame {columns['id'][copies[0]].decode()[:12]}"
