"""Data of the figures of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Bars:
    """The bars of a histogram.

    Attributes:
        edges: Edges of the bars, (k + 1,), in the unit of the values.
        counts: Values in each bar, (k,).
        limits: The range to show; ``None`` for all bars.
        beyond: Number of values outside this range.
        logarithmic: Whether the axis is logarithmic.
        decades: Number of decades of a logarithmic axis.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    limits: tuple[float, float] | None
    beyond: int
    logarithmic: bool = False
    decades: float = 0.0
