"""Reference and predicted values of one property in one split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Cloud:
    """Reference and predicted components of one property in one split.

    Attributes:
        reference: (k,) in eV/atom, eV/Å or eV/Å³.
        predicted: (k,), the committee mean.
        frames: Number of frames.
        rmse: RMSE of the committee mean over all components, same unit.
    """

    reference: NDArray[np.float64]
    predicted: NDArray[np.float64]
    frames: int
    rmse: float
