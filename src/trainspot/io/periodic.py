"""The periodicity of structures in formats without periodicity, such as a sheet in a CIF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.data.lattice import full_cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_YES, _NO = ("t", "true", "1", "yes"), ("f", "false", "0", "no")


def parse_periodic(text: str) -> tuple[bool, bool, bool]:
    """Periodicity along the three cell vectors from ``TTF``, ``T T F`` or ``true,true,false``.

    Raises:
        InputError: Not of this form.
    """
    words = text.replace(",", " ").lower().split()
    if len(words) == 1 and len(words[0]) == 3:
        words = list(words[0])
    if len(words) != 3 or any(word not in (*_YES, *_NO) for word in words):
        hint = "write T or F for each cell vector: TTF for a sheet without periodicity along c"
        raise InputError(f"'{text}' is not a periodicity", where="--periodic", hint=hint)
    first, second, third = (word in _YES for word in words)
    return first, second, third


def with_periodicity(dataset: Dataset, periodic: Sequence[bool] | None, where: str = "") -> Dataset:
    """The same structures with another periodicity; everything else stays.

    Along a direction that becomes non-periodic, atoms move by whole cell vectors to one side of the
    widest gap, so that a sheet across the boundary of its cell stays in one piece.

    Args:
        dataset: N frames.
        periodic: Periodicity along the three cell vectors; ``None`` changes nothing.
        where: The file of the frames.

    Raises:
        InputError: A periodic direction without a cell vector; the message counts from 1.
    """
    if periodic is None:
        return dataset
    pbc = np.array(periodic, dtype=np.bool_)
    frames = []
    for number, frame in enumerate(dataset, start=1):
        try:
            frames.append(_changed(frame, pbc))
        except InputError as error:
            place = f"{where}, structure {number}" if len(dataset) > 1 else where
            hint = "a periodic direction needs a cell vector"
            raise InputError(error.what, where=place, hint=hint) from error
    return Dataset.from_frames(frames)


def _changed(frame: Frame, pbc: NDArray[np.bool_]) -> Frame:
    if np.array_equal(frame.pbc, pbc):
        return frame
    rest: dict[str, Any] = {
        name: getattr(frame, name) for name in ("labels", "origin", "split", "arrays", "info")
    }
    return Frame.make(frame.numbers, _together(frame, pbc), frame.cell, pbc, **rest)


def _together(frame: Frame, pbc: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Positions, Å, (n, 3), without a cut at the boundary of a newly non-periodic direction."""
    cell = full_cell(frame.cell, frame.pbc)
    places = np.linalg.solve(cell.T, frame.positions.T).T
    positions = frame.positions.copy()
    for axis in np.flatnonzero(frame.pbc & ~pbc):
        wrapped = places[:, axis] % 1.0
        order = np.sort(wrapped)
        gaps = np.diff(order, append=order[0] + 1.0)
        start = order[(int(gaps.argmax()) + 1) % len(order)]  # the first atom after the emptiness
        beyond = np.where(wrapped < start - 1e-9, wrapped + 1.0, wrapped)
        # The middle of the atoms stays in the cell.
        beyond -= np.floor((beyond.min() + beyond.max()) / 2.0)
        steps = np.rint(beyond - places[:, axis])
        positions += steps[:, None] * cell[axis]
    return positions
