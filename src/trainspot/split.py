"""The splits train, validation and test: assigned once, and without leakage.

Frames that belong together (copies of one geometry, one trajectory) get one split. The splits are
stratified by strategy: shares are rounded first over all frames, then over strategies, then over
the parents of each strategy, always by largest remainders, so that frames of rare strategies are
held out too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from trainspot.common.errors import InputError
from trainspot.common.seeds import derive_seed
from trainspot.data.dataset import Dataset
from trainspot.data.frames import SPLITS
from trainspot.data.isolated import isolated_atoms
from trainspot.data.refused import marked_rows, physical_rows

FRACTIONS: Final = (0.8, 0.1, 0.1)
"""Shares of the training, validation and test splits."""

_TRAIN: Final = SPLITS.index("train")


@dataclass(frozen=True)
class _Unit:
    """Frames that must not be separated.

    Attributes:
        rows: Their rows in the dataset.
        strategy: Strategy of the first frame by id; of several copies, that of the oldest copy.
        parent: Parent of the same frame.
        order: Position in the draw; it depends on the seed and the ids only.
        split: The split that it already has, or -1.
    """

    rows: tuple[int, ...]
    strategy: str
    parent: str
    order: int
    split: int


def assign(dataset: Dataset, fractions: Sequence[float] = FRACTIONS, seed: int = 0) -> Dataset:
    """Give a split to every frame without one; the other frames keep their split.

    Isolated atoms go to the training split. Frames of one trajectory, and copies of one geometry,
    go to the same split: the split of those that already have one. The other frames are assigned
    at random, stratified by strategy and parent. A split that would be empty gets a frame of the
    largest stratum, validation before test. The result depends on the seed and the frames, not on
    the order of the frames.

    A frame of a screen audit (``data.refused``) goes to the training split if its labels are
    physical, and else to none. It has no influence on the splits of other frames.

    Args:
        dataset: Frames, some of which may have a split.
        fractions: Shares of training, validation and test; they sum to 1.
        seed: Decides the draw.

    Raises:
        InputError: The fractions make no sense, or copies of one frame are in two splits.
    """
    shares = _checked(fractions)
    refused = marked_rows(dataset)
    if refused.any():
        return _assigned_beside(dataset, refused, fractions, seed)
    if not len(dataset):
        return dataset
    units = _units(dataset, seed)
    atoms = isolated_atoms(dataset.columns)
    mixed = [unit for unit in units if not atoms[unit.rows[0]]]
    assigned = {unit: unit.split for unit in mixed if unit.split >= 0}
    free = sorted((u for u in mixed if u.split < 0), key=lambda unit: unit.order)
    chosen = assigned | _drawn(free, list(assigned), shares, seed)
    _fill_empty(chosen, free, shares)
    splits = dataset.column("split").copy()
    for unit in units:
        rows = np.array(unit.rows)
        splits[rows[splits[rows] == 0]] = 1 + chosen.get(unit, max(unit.split, _TRAIN))
    return dataset.with_columns(split=splits)


def _assigned_beside(
    dataset: Dataset, refused: NDArray[np.bool_], fractions: Sequence[float], seed: int
) -> Dataset:
    """The splits of a dataset with frames that a screen refused."""
    splits = dataset.column("split").copy()
    splits[~refused] = assign(dataset.take(~refused), fractions, seed).column("split")
    splits[physical_rows(dataset) & (splits == 0)] = 1 + _TRAIN
    return dataset.with_columns(split=splits)


def _checked(fractions: Sequence[float]) -> NDArray[np.float64]:
    shares = np.array(fractions, dtype=np.float64)
    good = shares.shape == (3,) and np.all(shares >= 0) and abs(shares.sum() - 1) < 1e-6
    if not (good and shares[_TRAIN] > 0):
        raise InputError(
            f"fractions {list(fractions)} are not shares of a split",
            hint="give three shares for training, validation and test that sum to 1",
        )
    return shares


# ── units ─────────────────────────────────────────────────────────────────────
def _units(dataset: Dataset, seed: int) -> list[_Unit]:
    """The frames in groups that share a geometry or a trajectory."""
    ids, splits = dataset.column("id"), dataset.column("split").astype(np.int64) - 1
    origin = ("iteration", "strategy", "parent", "trajectory")
    text = {name: dataset.column(name) for name in origin}
    groups = defaultdict(list)
    for row, group in enumerate(_groups(ids, text["trajectory"]).tolist()):
        groups[group].append(row)
    _refuse_torn(ids, splits)
    units = []
    for rows in groups.values():
        # Copies can differ in their origin; their order must have no effect (`Dataset.merge`).
        first = min(rows, key=lambda row: (ids[row], *(text[name][row] for name in origin)))
        # A trajectory that the user has cut into several splits stays cut; its new frames go to
        # the first of these splits, since in training they cannot make a test look too good.
        assigned = [int(splits[row]) for row in rows if splits[row] >= 0]
        units.append(
            _Unit(
                tuple(rows),
                text["strategy"][first].decode(),
                text["parent"][first].decode(),
                derive_seed(seed, "split", ids[first].decode()),
                min(assigned, default=-1),
            )
        )
    return units


def _groups(ids: NDArray[np.bytes_], trajectories: NDArray[np.bytes_]) -> NDArray[np.int32]:
    """For each frame the number of its group, (N,): frames linked by an id or a trajectory."""
    rows = np.arange(len(ids))
    geometry = np.unique(ids, return_inverse=True)[1]
    names, trajectory = np.unique(trajectories, return_inverse=True)
    moving = trajectories != b""
    links = np.concatenate(
        [
            np.stack([rows, len(rows) + geometry]),
            np.stack([rows, len(rows) + geometry.max() + 1 + trajectory])[:, moving],
        ],
        axis=1,
    )
    size = len(rows) + int(geometry.max()) + 1 + len(names)
    graph = coo_array((np.ones(links.shape[1]), tuple(links)), shape=(size, size))
    labels: NDArray[np.int32] = connected_components(graph, directed=False)[1][: len(rows)]
    return labels


def _refuse_torn(ids: NDArray[np.bytes_], splits: NDArray[np.int64]) -> None:
    split_of: dict[bytes, int] = {}
    for identity, split in zip(ids.tolist(), splits.tolist(), strict=True):
        if split >= 0 and split_of.setdefault(identity, split) != split:
            raise InputError(
                f"the same geometry is in the splits {SPLITS[split_of[identity]]} and "
                f"{SPLITS[split]}",
                where=f"frame {identity.decode()[:12]}",
                hint="keep one of the copies",
            )


# ── drawing ───────────────────────────────────────────────────────────────────
def _drawn(
    free: Sequence[_Unit], assigned: Sequence[_Unit], shares: NDArray[np.float64], seed: int
) -> dict[_Unit, int]:
    """Splits for the free units; ``assigned`` units only show which splits lag behind."""
    totals = _share_out([len(free)], None, [assigned], shares)[0]
    drawn: dict[_Unit, int] = {}
    for members, seats, mine in _strata(free, assigned, "strategy", totals, shares, seed):
        for units, counts, _ in _strata(members, mine, "parent", seats, shares, seed):
            splits = np.repeat(np.arange(len(SPLITS)), counts).tolist()
            drawn |= dict(zip(units, splits, strict=True))
    return drawn


def _strata(
    free: Sequence[_Unit],
    assigned: Sequence[_Unit],
    name: Literal["strategy", "parent"],
    seats: NDArray[np.int64],
    shares: NDArray[np.float64],
    seed: int,
) -> Iterator[tuple[list[_Unit], NDArray[np.int64], list[_Unit]]]:
    """For each stratum its free units, how many go to each split, and its assigned units."""
    groups, assigned_groups = _by(free, name), _by(assigned, name)
    # The largest first; equal ones in a seeded order.
    order = sorted(groups, key=lambda key: (-len(groups[key]), derive_seed(seed, name, key)))
    mine = [assigned_groups.get(key, []) for key in order]
    counts = _share_out([len(groups[key]) for key in order], seats, mine, shares)
    for key, row, assigned_here in zip(order, counts, mine, strict=True):
        yield groups[key], row, assigned_here


def _by(units: Sequence[_Unit], name: str) -> dict[str, list[_Unit]]:
    groups = defaultdict(list)
    for unit in units:
        groups[getattr(unit, name)].append(unit)
    return groups


def _share_out(
    rows: Sequence[int],
    columns: NDArray[np.int64] | None,
    assigned: Sequence[Sequence[_Unit]],
    shares: NDArray[np.float64],
) -> NDArray[np.int64]:
    """Largest-remainder rounding of shares over strata with fixed sums.

    Each seat goes to the cell that is farthest below its quota, among strata and splits with free
    seats. Earlier assignments move a quota by at most one seat: splits lag behind after roundings,
    but this does not fill up a split that a user made small on purpose.

    Args:
        rows: New units of each stratum, (h,).
        columns: New units of each split, (3,); free if left out.
        assigned: Units of each stratum that already have a split, (h,).
        shares: Of the splits, (3,).

    Returns:
        Units of each stratum in each split, (h, 3).
    """
    remaining = np.array(rows, dtype=np.int64)
    room = np.full(len(shares), remaining.sum()) if columns is None else columns.copy()
    counts = np.array([[sum(u.split == s for u in row) for s in range(3)] for row in assigned])
    counts = counts.reshape(len(rows), len(shares))
    lag = shares * counts.sum(axis=1, keepdims=True) - counts
    need = np.round(shares * remaining[:, None] + np.clip(lag, -1.0, 1.0), 9)
    seats: NDArray[np.int64] = np.maximum(np.floor(need), 0).astype(np.int64)
    if np.any(seats.sum(axis=0) > room) or np.any(seats.sum(axis=1) > remaining):
        seats[:] = 0
    remaining, room, need = remaining - seats.sum(axis=1), room - seats.sum(axis=0), need - seats
    for _ in range(int(remaining.sum())):
        open_ = (remaining[:, None] > 0) & (room[None, :] > 0) & (shares > 0)
        row, column = np.unravel_index(
            np.argmax(np.where(open_, np.round(need, 9), -np.inf)), need.shape
        )
        seats[row, column] += 1
        need[row, column] -= 1
        remaining[row] -= 1
        room[column] -= 1
    return seats


def _fill_empty(
    chosen: dict[_Unit, int], free: Sequence[_Unit], shares: NDArray[np.float64]
) -> None:
    """Give each empty split one unit of the largest stratum that can spare one."""
    for empty in range(len(SPLITS)):
        sizes = np.bincount(list(chosen.values()), minlength=len(SPLITS))
        strata = defaultdict(list)
        for unit in free:
            if sizes[chosen[unit]] > 1:
                strata[unit.strategy, unit.parent, chosen[unit]].append(unit)
        if shares[empty] > 0 and not sizes[empty] and strata:
            largest = max(strata.values(), key=len)
            chosen[largest[-1]] = empty
