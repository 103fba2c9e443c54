"""Isolated atoms: the one-atom frames whose energy is the reference energy of an element.

This is the only definition in the project. A one-atom cell of a crystal is not an isolated atom.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.data import covalent_radii

from trainspot.data.columns import EXTRA
from trainspot.data.lattice import image_distance
from trainspot.data.metadata import decode_metadata
from trainspot.data.state import CHARGE, CHARGES, electronic_state

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from trainspot.data.frames import Frame

FAR: Final = 10.0
"""Å; a single atom is isolated if its nearest periodic image is this far away. In the largest
one-atom cell of an element, that of caesium, this distance is 5.3 Å."""

TAG: Final = "config_type"
"""Metadata key, in small letters, with which data sets give the kind of a frame."""

TAGS: Final = re.compile(r"(isolated|single|free)?atom(ic)?([A-Z][a-z]?)?|isolated", re.IGNORECASE)
"""Values of this key, without blanks and signs, that mark an isolated atom: IsolatedAtom,
isolated_atom, isolated_atom_Cu. They do not count if periodic images are within a bond length."""

_BOND: Final = 1.3 * 2
"""Covalent radii: two atoms of one element that are closer are bonded."""


_CHARGES: Final = EXTRA + CHARGES


def is_isolated_atom(frame: Frame) -> bool:
    """Whether a frame is one atom in vacuum.

    Either no direction is periodic, or its images are ``FAR`` away, or the file marks it, as in
    ``config_type=IsolatedAtom``.
    """
    return len(frame) == 1 and _alone(int(frame.numbers[0]), frame.cell, frame.pbc, frame.info)


def isolated_atoms(columns: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which frames are isolated atoms, (N,); see ``is_isolated_atom``.

    Args:
        columns: Columns of a dataset, in memory or on disk.
    """
    alone = np.diff(columns["offsets"][...]) == 1
    for row in np.flatnonzero(alone).tolist():
        cell, pbc = (columns[name][row : row + 1][0] for name in ("cell", "pbc"))
        atom = int(columns["offsets"][row : row + 1][0])
        number = int(columns["numbers"][atom : atom + 1][0])
        alone[row] = _alone(number, cell, pbc, _info(columns, row))
    return np.asarray(alone, dtype=np.bool_)


def reference_atoms(columns: Mapping[str, Any]) -> NDArray[np.bool_]:
    """Which frames are isolated atoms without charge, (N,): they define reference energies."""
    alone = isolated_atoms(columns)
    for row in np.flatnonzero(alone).tolist():
        arrays = {}
        if _CHARGES in columns and columns["has_" + _CHARGES][row : row + 1][0]:
            atom = int(columns["offsets"][row : row + 1][0])
            arrays[CHARGES] = np.asarray(columns[_CHARGES][atom : atom + 1])
        alone[row] = CHARGE not in electronic_state(_info(columns, row), arrays)
    return alone


def _info(columns: Mapping[str, Any], row: int) -> dict[str, Any]:
    start, stop = (int(edge) for edge in columns["info_offsets"][row : row + 2])
    return decode_metadata(np.asarray(columns["info"][start:stop]).tobytes())


def _alone(number: int, cell: ArrayLike, pbc: ArrayLike, info: Mapping[str, Any]) -> bool:
    away = image_distance(cell, pbc)
    if away >= FAR:
        return True
    tags = [str(value) for key, value in info.items() if key.lower() == TAG]
    is_tagged = any(TAGS.fullmatch(re.sub(r"[\W\d_]+", "", tag)) for tag in tags)
    return is_tagged and away > _BOND * float(covalent_radii[number])
