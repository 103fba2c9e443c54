"""What the figures of a dataset draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Bars:
    """A histogram ready to be drawn.

    Attributes:
        edges: Of the bars, (k + 1,), in the unit of the values.
        counts: (k,).
        limits: The part worth showing; ``None`` for all of it.
        beyond: Values outside this part.
        logarithmic: Whether the axis is logarithmic.
        decades: How many it spans, if it is.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    limits: tuple[float, float] | None
    beyond: int
    logarithmic: bool = False
    decades: float = 0.0
