"""The cost of the labels of a rehearsal, if DFT had computed them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_ATOMS: Final = 8
_HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class CostModel:
    """CPU time of one self-consistent calculation, t(n) = ``seconds`` · (n / 8)^``exponent``.

    The defaults are measurements of silicon with Quantum ESPRESSO at 16 Ry and constant k-point
    density: 1.6 CPU-s for 8 atoms, and an exponent of 2.1 between 8 and 64 atoms, which rises
    towards 3 for larger cells. Between 8 and 64 atoms the model is wrong by a factor of 1.8 at
    most. Elements, cutoffs and vacuum change the prefactor, so ratios between arms mean more than
    hours.

    Attributes:
        seconds: CPU-s of a frame of 8 atoms.
        exponent: Exponent of the number of atoms.
    """

    seconds: float = 1.6
    exponent: float = 2.1

    def core_hours(self, n_atoms: ArrayLike) -> float:
        """Total core-hours of labelling frames of these sizes, (N,)."""
        sizes = np.asarray(n_atoms, dtype=np.float64)
        return float(np.sum(self.seconds * (sizes / _ATOMS) ** self.exponent) / _HOUR)

    def words(self) -> str:
        """The model in a sentence."""
        return (
            f"{self.seconds:g} s · (atoms / {_ATOMS})^{self.exponent:g} of one core for each label"
        )

    def to_dict(self) -> dict[str, float]:
        """JSON values only."""
        return {**asdict(self), "atoms": _ATOMS}
