"""Which frames are on a map: those that suit it and, of too many, a part drawn at random."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from ase.data import chemical_symbols

from trainspot.common.errors import InputError
from trainspot.common.seeds import generator
from trainspot.common.text import counted
from trainspot.maps import cost
from trainspot.maps.orbitals import has_orbitals

if TYPE_CHECKING:
    from trainspot.data.dataset import Dataset

WORTH: Final = 20
"""Frames that a limit in time has room for at least: dearer ones are left out."""
_PATIENCE: Final = "trainspot map --descriptor sorep has no limit in time"


class Limits(NamedTuple):
    """What a map holds at most; ``None`` for no limit.

    Attributes:
        atoms: Of a frame.
        frames: On the map.
        seconds: That one core needs for the kinetic SOREP of all of them, estimated.
    """

    atoms: int | None = None
    frames: int | None = None
    seconds: float | None = None


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for the reader of a map: who is not on it and why, or how it was made.

    Attributes:
        text: The sentence, without its full stop.
        option: The option of ``trainspot map`` that decided it.
        drawn: Whether it says that frames were drawn at random.
    """

    text: str
    option: str = ""
    drawn: bool = False

    def __str__(self) -> str:
        """The sentence, with the option behind it."""
        return f"{self.text} ({self.option})." if self.option else f"{self.text}."


def choose(
    dataset: Dataset, others: Dataset, limits: Limits, seed: int, *, orbitals: bool
) -> tuple[Dataset, Dataset, list[Note]]:
    """The frames of a map in their order, and who is left out.

    Isolated atoms are left out: alone far from everything, they would squeeze the rest.

    Args:
        dataset: The frames of a campaign, or any.
        others: Frames that were met in exploration; those that are in the dataset count there.
        limits: Of more frames than fit some are drawn at random, at most half of them others
            unless the dataset is smaller.
        seed: What is random follows from this.
        orbitals: Whether elements without orbitals have no place on the map.

    Raises:
        InputError: No frame is left; or a limit in time has room for less than half of them.
    """
    notes: list[Note] = []
    parts = _suitable([_unique(dataset), _unique(others.without(dataset.ids))], limits.atoms, notes)
    if orbitals:
        parts = _with_orbitals(parts, notes)
    left = None
    if limits.seconds is not None:
        parts, left = _affordable(parts, limits.seconds, notes)
    if not sum(map(len, parts)):
        raise InputError(
            "no frame is left for a map", hint=" ".join(map(str, notes)) or "the dataset is empty"
        )
    mine, theirs = _drawn(parts, limits, left, seed, notes)
    return mine, theirs, notes


def _unique(frames: Dataset) -> Dataset:
    _, first = np.unique(frames.column("id"), return_index=True)
    return frames if len(first) == len(frames) else frames.take(np.sort(first))


def _suitable(parts: list[Dataset], max_atoms: int | None, notes: list[Note]) -> list[Dataset]:
    """Without isolated atoms and frames that are too large."""
    alone, large = 0, 0
    kept = []
    for frames in parts:
        sizes = frames.n_atoms
        is_alone = (sizes == 1) & ~frames.column("pbc").any(axis=1)
        is_large = sizes > (sizes.max(initial=0) if max_atoms is None else max_atoms)
        alone, large = alone + int(is_alone.sum()), large + int(is_large.sum())
        kept.append(frames.take(~is_alone & ~is_large))
    if alone:
        notes.append(Note(f"Left out: {counted(alone, 'frame')} of a single atom"))
    if large:
        text = f"Left out: {counted(large, 'frame')} of more than {max_atoms} atoms"
        notes.append(Note(text, "--max-atoms"))
    return kept


def _with_orbitals(parts: list[Dataset], notes: list[Note]) -> list[Dataset]:
    """Without frames that hold an element of which the basis has no orbitals."""
    present = np.unique(np.concatenate([part.column("numbers") for part in parts]))
    lacking = [int(number) for number in present if not has_orbitals(int(number))]
    if not lacking:
        return parts
    kept, count = [], 0
    for frames in parts:
        atoms = np.isin(frames.column("numbers"), lacking)
        known = np.ones(len(frames), dtype=np.bool_)
        known[np.repeat(np.arange(len(frames)), frames.n_atoms)[atoms]] = False
        kept.append(frames.take(known))
        count += len(frames) - len(kept[-1])
    names = ", ".join(chemical_symbols[number] for number in lacking)
    left_out = f"Left out: {counted(count, 'frame')} with {names}"
    notes.append(Note(f"{left_out}, of which the ANO-RCC basis has no orbitals"))
    return kept


def _affordable(
    parts: list[Dataset], seconds: float, notes: list[Note]
) -> tuple[list[Dataset], float]:
    """Without frames that would take too much of the time; and the time that is left for them."""
    numbers = np.unique(np.concatenate([part.column("numbers") for part in parts])).tolist()
    left = seconds - cost.tables(numbers)
    if left < seconds / 2:
        raise InputError(
            f"the integrals between {len(numbers)} elements take too long", hint=_PATIENCE
        )
    most = left / WORTH
    cheap = [cost.frames(part) <= most for part in parts]
    kept = [part.take(rows) for part, rows in zip(parts, cheap, strict=True)]
    total = sum(map(len, parts))
    count = total - sum(map(len, kept))
    if count > total / 2:
        raise InputError(
            f"{count} of {counted(total, 'frame')} would take more than {most:.1g} s each to "
            "describe",
            hint=_PATIENCE,
        )
    if count:
        left_out = f"Left out: {counted(count, 'frame')}"
        notes.append(Note(f"{left_out} that would take more than {most:.1g} s each to describe"))
    return kept, left


def _drawn(
    parts: list[Dataset], limits: Limits, left: float | None, seed: int, notes: list[Note]
) -> tuple[Dataset, Dataset]:
    """As many as the limits allow, in their order; ``left``: seconds for the frames alone."""
    total = sum(map(len, parts))
    rng = generator(seed, "map", "frames")
    orders = [rng.permutation(len(part)) for part in parts]
    count = total if limits.frames is None else min(total, limits.frames)
    option, why = "--max-frames", ""
    if left is not None:
        # Each part is taken from the front of its order, so that more frames never take less time.
        spent = [
            np.append(0.0, np.cumsum(cost.frames(part.take(order[:count]))))
            for part, order in zip(parts, orders, strict=True)
        ]

        def taken(number: int) -> float:
            return float(sum(s[n] for s, n in zip(spent, _shares(parts, number), strict=True)))

        if taken(count) > left:
            count = bisect_right(range(count), left, key=taken) - 1
            option, why = "", f", as many as one core describes in about {limits.seconds:.0f} s"
    if count < total:
        text = f"Drawn at random: {count} of {total} frames{why}"
        notes.append(Note(text, option, drawn=True))
    mine, theirs = (
        part.take(np.sort(order[:n]))
        for part, order, n in zip(parts, orders, _shares(parts, count), strict=True)
    )
    return mine, theirs


def _shares(parts: list[Dataset], count: int) -> tuple[int, int]:
    """How many of so many frames are of the dataset and of the others; neither ever falls."""
    mine, theirs = map(len, parts)
    share = min(mine, max(count - count // 2, count - theirs))
    return share, count - share
