"""The working cell of a run, and the transformations from and to the cell of a frame.

Engines need three independent cell vectors; LAMMPS also needs them lower triangular and not
strongly tilted. Vectors along non-periodic directions have no physical meaning, so perpendicular
vectors replace them during a run. Frames of the run get the original vectors back.
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
"""Smallest distance of atoms from both ends of the cell along a non-periodic direction, Å."""

MARGIN: Final = 20.0
"""New distance from both ends, Å, if the present one is smaller than ``ROOM``."""


def working_cell(frame: Frame) -> NDArray[np.float64]:
    """A right-handed cell of independent vectors with the periodicity of the frame.

    Periodic vectors stay (all three change sign if the cell is left-handed, which is the same
    lattice). The others become perpendicular to them and to each other, with the same height
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
    """A later ``working_cell`` with the handedness and the non-periodic vectors of the frame."""
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
    """The box of LAMMPS, and the transformations from and to a frame.

    ``Prism`` could shorten the vectors too, but then it wraps positions, and turns an anisotropic
    strain into the strain of another cell (decision 0058).

    Attributes:
        prism: Prism of the shortened vectors, which rotates positions and cells to LAMMPS and
            back. Its cell (Å) is lower triangular, with a positive diagonal and tilts of at most
            half a length.
        mixing: Integer unimodular (3, 3): the shortened vectors are ``mixing @ working_cell``.
        shift: Å, (3,), moves the atoms to the centre along non-periodic directions.
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
        prism.cell[noise] = 0.0  # LAMMPS refuses any tilt of a non-periodic direction
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
