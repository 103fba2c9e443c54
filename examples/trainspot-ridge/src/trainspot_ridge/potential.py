"""The model kind ``ridge``: a pair potential that is linear in its coefficients.

The energy of a frame is the energy of its isolated atoms, a fixed soft core and, for each pair of
elements, a sum of radial functions of the distance r:

    E = Σ_i E0(z_i) + Σ_{i<j} [core(r_ij) + Σ_k c_{z_i z_j, k} φ_k(r_ij)]
    φ_k(r) = exp(-((r - r_k) / w)² / 2) s(r),   core(r) = (r_0 / r)¹² s(r) in eV,
    s(r) = (1 - (r / r_c)²)³

with r_0 half the sum of the covalent radii and s a smooth end at the cutoff r_c.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
from ase.data import covalent_radii
from numpy.typing import NDArray

from trainspot import Frame, Labels
from trainspot.common.elements import check_known
from trainspot.common.errors import DataError
from trainspot.geometry import pairs_within
from trainspot.models.potential import Potential

Array = NDArray[np.float64]

HEADER: Final = b"trainspot-ridge 1\n"
"""First line of a model file; the rest is JSON."""


@dataclass(frozen=True)
class Design:
    """What a frame's energy is linear in; column 0 is the core, F columns in all.

    Attributes:
        numbers: Atomic numbers, (n,).
        energy: eV, (F,).
        forces: eV/Å, (n, 3, F).
        strain: Derivative of the energy by strain, eV, (3, 3, F).
        volume: Å³; 0 where no direction is periodic.
    """

    numbers: NDArray[np.int64]
    energy: Array
    forces: Array
    strain: Array
    volume: float


@dataclass(frozen=True)
class Basis:
    """The radial functions of one model.

    Attributes:
        numbers: Atomic numbers that the model knows, sorted.
        cutoff: r_c, Å.
        n_radial: Radial functions of each pair of elements.
    """

    numbers: tuple[int, ...]
    cutoff: float
    n_radial: int

    @property
    def size(self) -> int:
        """Coefficients of a model."""
        return len(self.numbers) * (len(self.numbers) + 1) // 2 * self.n_radial

    def design(self, frame: Frame) -> Design:
        """Energy, forces and strain derivative of every function.

        Raises:
            InputError: An element that the model does not know.
        """
        check_known(frame.numbers, self.numbers)
        pairs = pairs_within(frame, self.cutoff)
        values, slopes = self._functions(frame, pairs)
        directions = pairs.vectors / pairs.distances[:, None]
        pulls = directions[:, :, None] * slopes[:, None, :]  # what pulls the first atom, (p, 3, F)
        forces = np.zeros((len(frame), 3, 1 + self.size))
        np.add.at(forces, pairs.first, pulls)
        np.add.at(forces, pairs.second, -pulls)
        strain = np.einsum("pa,pbf->abf", pairs.vectors, pulls)
        volume = abs(float(np.linalg.det(frame.cell))) if frame.pbc.any() else 0.0
        return Design(frame.numbers, values.sum(axis=0), forces, strain, volume)

    def _functions(self, frame: Frame, pairs: Any) -> tuple[Array, Array]:
        """Every function of every pair (eV), and its derivative by the distance, (p, F)."""
        r = pairs.distances[:, None]
        end = (1.0 - (r / self.cutoff) ** 2) ** 3
        end_slope = -6.0 * r / self.cutoff**2 * (1.0 - (r / self.cutoff) ** 2) ** 2
        width = self.cutoff / self.n_radial
        away = (r - width * (1.0 + np.arange(self.n_radial))) / width
        bells = np.exp(-0.5 * away**2)
        radii = covalent_radii[frame.numbers]
        half = 0.5 * (radii[pairs.first] + radii[pairs.second])[:, None]
        core = (half / r) ** 12
        values, slopes = np.zeros((2, len(r), 1 + self.size))
        values[:, :1], slopes[:, :1] = core * end, core * (end_slope - 12.0 / r * end)
        columns = 1 + self._first_column(frame, pairs)[:, None] + np.arange(self.n_radial)
        rows = np.arange(len(r))[:, None]
        values[rows, columns] = bells * end
        slopes[rows, columns] = bells * (end_slope - away / width * end)
        return values, slopes

    def _first_column(self, frame: Frame, pairs: Any) -> NDArray[np.int64]:
        """Where the coefficients of each pair's elements begin, (p,)."""
        species = np.searchsorted(self.numbers, frame.numbers)
        low = np.minimum(species[pairs.first], species[pairs.second])
        high = np.maximum(species[pairs.first], species[pairs.second])
        return np.asarray((high * (high + 1) // 2 + low) * self.n_radial)


class RidgePotential(Potential):
    """A trained member.

    Args:
        basis: Its functions.
        coefficients: c, eV, (``basis.size``,).
        e0s: Energy of the isolated atom of each element of the basis, eV.
    """

    kind: ClassVar[str] = "ridge"

    def __init__(self, basis: Basis, coefficients: Array, e0s: Array) -> None:
        """Keep the parameters."""
        self.basis, self.coefficients, self.e0s = basis, coefficients, e0s
        self.cutoff, self.numbers = basis.cutoff, basis.numbers
        self.graph_key = (self.kind, basis)  # members with one basis share their designs

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the file begins with our header."""
        try:
            with path.open("rb") as file:
                return file.read(len(HEADER)) == HEADER
        except OSError:  # a folder, or a file that may not be read
            return False

    @classmethod
    def load(cls, path: Path, *, dtype: str = "float64", device: str = "cpu") -> Self:
        """Read a model file; numpy computes in float64 on the CPU, whatever is asked for.

        Raises:
            DataError: Not such a model, or damaged.
        """
        del dtype, device
        try:
            header, _, content = path.read_bytes().partition(b"\n")
            plain = json.loads(content)
            basis = Basis(tuple(plain["numbers"]), plain["cutoff"], plain["n_radial"])
            model = cls(basis, np.array(plain["coefficients"]), np.array(plain["e0s"]))
            shapes = (model.coefficients.shape, model.e0s.shape)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError("not a ridge model, or damaged", where=str(path)) from error
        if header + b"\n" != HEADER or shapes != ((basis.size,), (len(basis.numbers),)):
            raise DataError("not a ridge model, or damaged", where=str(path))
        return model

    def save(self, path: Path) -> None:
        """Write the model; equal models make equal bytes."""
        content = {
            "numbers": self.numbers,
            "cutoff": self.cutoff,
            "n_radial": self.basis.n_radial,
            "coefficients": self.coefficients.tolist(),
            "e0s": self.e0s.tolist(),
        }
        path.write_bytes(HEADER + json.dumps(content).encode())

    def prepare(self, frames: Sequence[Frame]) -> list[Design]:
        """The design of each frame, which members with one basis share."""
        return [self.basis.design(frame) for frame in frames]

    def predict(self, prepared: list[Design]) -> list[Labels]:
        """Energy (eV), forces (eV/Å) and, where a direction is periodic, stress (eV/Å³)."""
        weights = np.concatenate([[1.0], self.coefficients])  # the core is not fitted
        return [
            Labels(
                float(self.atoms(one) + one.energy @ weights),
                one.forces @ weights,
                one.strain @ weights / one.volume if one.volume else None,
            )
            for one in prepared
        ]

    def atoms(self, one: Design) -> float:
        """Energy of the isolated atoms of a frame, eV."""
        return float(self.e0s[np.searchsorted(self.numbers, one.numbers)].sum())
