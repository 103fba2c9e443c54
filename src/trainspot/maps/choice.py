"""The choice of frames for a map: all suitable frames or, of too many, a random part."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from trainspot.common.elements import symbols
from trainspot.common.errors import InputError
from trainspot.common.seeds import generator
from trainspot.common.text import counted
from trainspot.maps.orbitals import has_orbitals

if TYPE_CHECKING:
    from trainspot.data.dataset import Dataset


class Limits(NamedTuple):
    """Limits of a map; ``None`` for no limit.

    Attributes:
        atoms: Atoms of a frame.
        frames: Frames on the map.
        total: Atoms of all frames together.
    """

    atoms: int | None = None
    frames: int | None = None
    total: int | None = None


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence for the reader of a map: which frames are left out, or how the map was made.

    Attributes:
        text: The sentence, without its full stop.
        option: The option of ``trainspot map`` behind the sentence.
        drawn: Whether frames were drawn at random.
    """

    text: str
    option: str = ""
    drawn: bool = False

    def __str__(self) -> str:
        """The sentence, followed by the option."""
        return f"{self.text} ({self.option})." if self.option else f"{self.text}."


class NoFrameError(InputError):
    """No frame is left for a map.

    Attributes:
        notes: Which frames are left out, and why.
    """

    def __init__(self, notes: list[Note]) -> None:
        """Keep the reasons and make them the hint."""
        self.notes = notes
        reasons = " ".join(map(str, notes)) or "the dataset is empty"
        super().__init__("no frame is left for a map", hint=reasons)


def choose(
    dataset: Dataset, others: Dataset, limits: Limits, seed: int, *, orbitals: bool
) -> tuple[Dataset, Dataset, list[Note]]:
    """The frames of a map in their order, and notes on the frames left out.

    Isolated atoms are left out: they lie far from all other frames, which would shrink to a spot.

    Args:
        dataset: The frames of a campaign, or any.
        others: Frames of an exploration; frames that are also in the dataset count there.
        limits: Of too many frames some are drawn at random, at most half of them from ``others``
            unless the dataset is smaller.
        seed: Determines all random numbers.
        orbitals: Whether to leave out frames with elements without orbitals.

    Raises:
        NoFrameError: No frame is left.
    """
    notes: list[Note] = []
    parts = _suitable([_unique(dataset), _unique(others.without(dataset.ids))], limits.atoms, notes)
    if orbitals:
        parts = _with_orbitals(parts, notes)
    if not sum(map(len, parts)):
        raise NoFrameError(notes)
    mine, theirs = _drawn(parts, limits, seed, notes)
    return mine, theirs, notes


def _unique(frames: Dataset) -> Dataset:
    _, first = np.unique(frames.column("id"), return_index=True)
    return frames if len(first) == len(frames) else frames.take(np.sort(first))


def _suitable(parts: list[Dataset], max_atoms: int | None, notes: list[Note]) -> list[Dataset]:
    """The frames without isolated atoms and without frames that are too large."""
    alone, large = 0, 0
    kept = []
    for frames in parts:
        sizes = frames.n_atoms
        is_alone = frames.is_isolated
        is_large = sizes > (sizes.max(initial=0) if max_atoms is None else max_atoms)
        alone, large = alone + int(is_alone.sum()), large + int(is_large.sum())
        kept.append(frames.take(~is_alone & ~is_large))
    if alone:
        notes.append(Note(f"Left out: {counted(alone, 'isolated atom')}"))
    if large:
        text = f"Left out: {counted(large, 'frame')} of more than {max_atoms} atoms"
        notes.append(Note(text, "--max-atoms"))
    return kept


def _with_orbitals(parts: list[Dataset], notes: list[Note]) -> list[Dataset]:
    """The frames without those that have an element without orbitals in the basis."""
    present = np.unique(np.concatenate([part.column("numbers") for part in parts]))
    lacking = [int(number) for number in present if not has_orbitals(int(number))]
    if not lacking:
        return parts
    kept, count = [], 0
    for frames in parts:
        atoms = np.isin(frames.column("numbers"), lacking)
        complete = np.ones(len(frames), dtype=np.bool_)
        complete[np.repeat(np.arange(len(frames)), frames.n_atoms)[atoms]] = False
        kept.append(frames.take(complete))
        count += len(frames) - len(kept[-1])
    left_out = f"Left out: {counted(count, 'frame')} with {symbols(lacking)}"
    notes.append(Note(f"{left_out}, of which the ANO-RCC basis has no orbitals"))
    return kept


def _drawn(
    parts: list[Dataset], limits: Limits, seed: int, notes: list[Note]
) -> tuple[Dataset, Dataset]:
    """As many frames as the limits allow, in their order."""
    total = sum(map(len, parts))
    rng = generator(seed, "map", "frames")
    orders = [rng.permutation(len(part)) for part in parts]
    count = total if limits.frames is None else min(total, limits.frames)
    option, why = "--max-frames", ""
    if limits.total is not None:
        # Each part is taken from the front of its order, so that a higher limit only adds frames.
        atoms = [
            np.append(0, np.cumsum(part.n_atoms[order]))
            for part, order in zip(parts, orders, strict=True)
        ]

        def held(number: int) -> int:
            return int(sum(a[n] for a, n in zip(atoms, _shares(parts, number), strict=True)))

        if held(count) > limits.total:
            count = bisect_right(range(count), limits.total, key=held) - 1
            option, why = "", f", {limits.total} atoms in all"
    if count < total:
        text = f"Drawn at random: {count} of {total} frames{why}"
        notes.append(Note(text, option, drawn=True))
    mine, theirs = (
        part.take(np.sort(order[:n]))
        for part, order, n in zip(parts, orders, _shares(parts, count), strict=True)
    )
    return mine, theirs


def _shares(parts: list[Dataset], count: int) -> tuple[int, int]:
    """Numbers of frames of the dataset and of the others; neither decreases with the total."""
    mine, theirs = map(len, parts)
    share = min(mine, max(count - count // 2, count - theirs))
    return share, count - share
