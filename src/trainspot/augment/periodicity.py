"""Inputs that look less periodic than their file says: a sheet in a CIF file, say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainspot.augment.base import title
from trainspot.common.text import counted
from trainspot.data.frames import Frame
from trainspot.data.lattice import full_cell, lengths, normals

WIDE: Final = 8.0
"""Å between planes of atoms. Layers and pores of crystals are nearer; vacuum is wider."""


def remedy(periodic: Sequence[bool]) -> str:
    """How the user sets the periodic directions if the file format has none.

    Args:
        periodic: The periodic directions to set, (3,).
    """
    letters = "".join("T" if along else "F" for along in periodic)
    listed = ", ".join("true" if along else "false" for along in periodic)
    return (
        f"for a sheet, wire or molecule write --periodic {letters} (init, augment, convert), or "
        f"structures: [{{file: FILE, periodic: [{listed}]}}] in the campaign file"
    )


REMEDY: Final = remedy((True, True, False))


def empty_space(frame: Frame) -> tuple[float, str]:
    """The widest space without atoms along a periodic direction, Å, and which direction that is.

    It is measured along the normal of the two other cell vectors, across the boundary too; 0 where
    nothing is periodic.
    """
    gaps = _spaces(frame)
    widest = int(gaps.argmax())
    return float(gaps[widest]), "abc"[widest] if frame.pbc.any() else ""


def _spaces(frame: Frame) -> NDArray[np.float64]:
    """The widest space without atoms along each direction, Å, (3,); 0 where it is not periodic."""
    if not frame.pbc.any():
        return np.zeros(3)
    cell = full_cell(frame.cell, frame.pbc)
    across = normals(cell)
    heights = np.abs((cell[0] * across[0]).sum()) / lengths(across)
    places = np.sort(np.linalg.solve(cell.T, frame.positions.T) % 1.0, axis=1)
    steps = np.diff(places, axis=1, append=places[:, :1] + 1.0).max(axis=1)
    return np.where(frame.pbc, steps * heights, 0.0)


def note(inputs: Iterable[Frame]) -> str:
    """A note on inputs with at least ``WIDE`` Å of vacuum along a periodic direction, if any."""
    spaces = [(frame, *empty_space(frame)) for frame in inputs]
    wide = [(frame, gap, axis) for frame, gap, axis in spaces if gap >= WIDE]
    if not wide:
        return ""
    frame, gap, axis = wide[0]
    first = f"{title(frame)} has {gap:.1f} Å without atoms along {axis}, a periodic direction"
    others = len(wide) - 1
    have = "has" if others == 1 else "have"
    more = f" ({counted(others, 'other input')} {have} this too)" if others else ""
    return f"{first}{more}; {remedy((frame.pbc & (_spaces(frame) < WIDE)).tolist())}"
