"""The cell a run works in, and the way there and back.

Engines need three independent cell vectors; LAMMPS also needs them lower triangular and not
strongly tilted. Vectors along non-periodic directions mean nothing to the physics, so they are
replaced by perpendicular ones, and put back when frames are cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from ase.calculators.lammps import Prism

from trainspot.data.lattice import full_cell

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from trainspot.data.frames import Frame

ROOM: Final = 5.0
"""Å that atoms must at least have on both sides along a non-periodic direction."""

MARGIN: Final = 20.0
"""Å given on both sides where there is less room than ``ROOM``."""


def working_cell(frame: Frame) -> NDArray[np.float64]:
    """A right-handed cell of independent vectors with the periodicity of the frame.

    Periodic vectors stay (all three change sign if the cell is left-handed, which is the same
    lattice); the others become perpendicular to them and to each other and keep their height,
    unless the atoms need more.

    Returns:
        Å, (3, 3), rows are vectors, positive determinant.
    """
    cell = np.where(frame.pbc[:, None], frame.cell, 0.0)
    for axis in np.flatnonzero(~frame.pbc):
        cell[axis] = _perpendicular_part(frame.cell[axis], cell)
    complete = full_cell(cell, frame.pbc)
    if np.linalg.det(complete) < 0:
        complete[frame.pbc if frame.pbc.all() else np.flatnonzero(~frame.pbc)[0]] *= -1.0
    for axis in np.flatnonzero(~frame.pbc):
        height = float(np.linalg.norm(cell[axis]))
        direction = complete[axis] / np.linalg.norm(complete[axis])
        extent = float(np.ptp(frame.positions @ direction))
        enough = height >= extent + 2 * ROOM
        complete[axis] = direction * (height if enough else extent + 2 * MARGIN)
    return np.asarray(complete, dtype=np.float64)


def restored(frame: Frame, cell: ArrayLike) -> NDArray[np.float64]:
    """A later ``working_cell`` with the frame's handedness and its own non-periodic vectors."""
    sign = -1.0 if frame.pbc.all() and np.linalg.det(frame.cell) < 0 else 1.0
    return np.where(frame.pbc[:, None], sign * np.asarray(cell, dtype=np.float64), frame.cell)


def _perpendicular_part(
    vector: NDArray[np.float64], others: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The part of a vector outside the span of the non-zero rows of ``others``."""
    rows = others[others.any(axis=1)]
    if not len(rows):
        return vector
    basis = np.linalg.qr(rows.T)[0]
    rest = vector - basis @ (basis.T @ vector)
    return rest if np.linalg.norm(rest) > 1e-6 else np.zeros(3)


@dataclass(frozen=True, slots=True, eq=False)
class LammpsBox:
    """The box LAMMPS sees, and the transformation from and to a frame.

    ``Prism`` could shorten the vectors as well, but a prism that did wraps positions, and turns a
    strain that is not the same along all axes into the strain of another cell (decision 0058).

    Attributes:
        prism: Of the shortened vectors: rotates positions and cells, there and back. Its cell (Å)
            is lower triangular, with a positive diagonal and tilts of at most half a length.
        mixing: Integer unimodular (3, 3): the shortened vectors are ``mixing @ working_cell``.
        shift: Å, (3,), centres the atoms along non-periodic directions.
    """

    prism: Prism
    mixing: NDArray[np.float64]
    shift: NDArray[np.float64]

    @classmethod
    def of(cls, frame: Frame) -> LammpsBox:
        """The box of a frame; its vectors keep their numbers (a, b, c are x, y, z)."""
        working = working_cell(frame)
        long = Prism(working, frame.pbc)
        mixing = np.rint(np.linalg.solve(long.lammps_tilt.T, long.lammps_cell.T).T)
        prism = Prism(mixing @ working, frame.pbc)
        noise = ~np.outer(frame.pbc, frame.pbc) & ~np.eye(3, dtype=bool)
        prism.cell[noise] = 0.0  # LAMMPS takes no tilt of a non-periodic direction, however small
        inside = prism.vector_to_lammps(frame.positions)
        middle = (inside.min(axis=0) + inside.max(axis=0)) / 2
        shift = np.where(frame.pbc, 0.0, np.diag(prism.cell) / 2 - middle)
        return cls(prism, mixing, shift)

    @property
    def cell(self) -> NDArray[np.float64]:
        """Å, (3, 3), rows are vectors."""
        return np.asarray(self.prism.cell, dtype=np.float64)

    @property
    def rotation(self) -> NDArray[np.float64]:
        """Orthogonal (3, 3): ``r_frame = (r_lammps - shift) @ rotation``."""
        return np.asarray(self.prism.rot_mat.T, dtype=np.float64)

    def inward(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions of the frame in the LAMMPS box; Å, (n, 3)."""
        return np.asarray(self.prism.vector_to_lammps(positions) + self.shift)

    def outward(
        self, frame: Frame, positions: NDArray[np.float64], cell: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positions and cell of LAMMPS in the orientation and cell setting of the start frame."""
        turned = np.linalg.solve(self.mixing, self.prism.vector_to_ase(cell))
        return np.asarray(self.prism.vector_to_ase(positions - self.shift)), restored(frame, turned)
