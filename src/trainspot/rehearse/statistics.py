"""Cost of reaching an error, and ratios of the costs of two campaigns with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = NDArray[np.float64]

_RESAMPLES: Final = 4000


def reach(spent: ArrayLike, error: ArrayLike, target: float) -> float:
    """The cost at which a learning curve first falls to ``target``.

    Between two points ln(error) is linear in the cost. A curve that starts below the target has
    the cost of its first point; a curve that never reaches the target has the cost ``inf``.

    Args:
        spent: Labels or core-hours, increasing, (n,).
        error: Error at each point, > 0, (n,).
        target: Target error, > 0, unit of ``error``.
    """
    x, y = np.asarray(spent, dtype=np.float64), np.log(np.asarray(error, dtype=np.float64))
    goal = np.log(target)
    below = np.flatnonzero(y <= goal)
    if not len(below):
        return float("inf")
    k = int(below[0])
    if k == 0:
        return float(x[0])
    share = (y[k - 1] - goal) / (y[k - 1] - y[k])
    return float(x[k - 1] + share * (x[k] - x[k - 1]))


def median(values: ArrayLike) -> float:
    """The median; the upper of two middle values if that value is ``inf`` (not reached)."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    middle = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return float(middle[1] if np.isinf(middle[1]) else 0.5 * (middle[0] + middle[1]))


@dataclass(frozen=True, slots=True)
class Ratio:
    """Ratio of the costs of two campaigns, over paired seeds.

    Attributes:
        value: Ratio of the medians over seeds; ``None`` if a median was not reached.
        interval: 95 % bootstrap interval over seeds; ``None`` with fewer than three seeds, or if
            more than 2.5 % of the resamples have no ratio.
        seeds: Number of pairs of seeds.
        wins: Number of seeds with a lower cost of the first campaign.
    """

    value: float | None
    interval: tuple[float, float] | None
    seeds: int
    wins: int

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        interval = list(self.interval) if self.interval else None
        return {"value": self.value, "interval": interval, "seeds": self.seeds, "wins": self.wins}


def ratio(ours: ArrayLike, theirs: ArrayLike, rng: np.random.Generator) -> Ratio:
    """Ratio of medians with a percentile bootstrap over pairs of seeds.

    Args:
        ours: Cost of each seed, ``inf`` if the target was not reached, (n,).
        theirs: Cost of the same seeds in the other campaign, (n,).
        rng: Generator of the resamples.
    """
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    value = _of_medians(a, b)
    interval = None
    if len(a) >= 3:
        rows = rng.integers(len(a), size=(_RESAMPLES, len(a)))
        ratios = np.array([_of_medians(a[row], b[row]) for row in rows], dtype=np.float64)
        finite = ratios[~np.isnan(ratios)]
        if len(finite) >= 0.975 * _RESAMPLES:
            low, high = np.quantile(finite, [0.025, 0.975])
            interval = (float(low), float(high))
    return Ratio(None if np.isnan(value) else value, interval, len(a), int(np.sum(a < b)))


def geometric_mean(ratios: Sequence[float]) -> float:
    """Exp of the mean of the logarithms: the average of ratios, > 0."""
    return float(np.exp(np.mean(np.log(np.asarray(ratios, dtype=np.float64)))))


def band(
    curves: Sequence[tuple[Array, Array]], points: int = 60
) -> tuple[Array, Array, Array, Array]:
    """Median and extremes of several learning curves on a common axis.

    Each curve is interpolated between its ends, with ln(error) linear in the cost. The band covers
    the part of the axis where all curves have values.

    Args:
        curves: (cost, error) of each seed.
        points: Number of points of the axis, besides the points of the curves.

    Returns:
        Axis, median, smallest and largest error, (n,) each; empty without a common part.
    """
    low, high = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    spent = np.concatenate([x for x, _ in curves])
    # with the points of the curves, so that the median of one curve is the curve
    axis = np.union1d(np.linspace(low, high, points), spent[(spent >= low) & (spent <= high)])
    axis = axis if high >= low else np.zeros(0)
    logs = np.array([np.interp(axis, x, np.log(y)) for x, y in curves])
    return (
        axis,
        np.exp(np.median(logs, axis=0)),
        np.exp(logs.min(axis=0)),
        np.exp(logs.max(axis=0)),
    )


def _of_medians(a: Array, b: Array) -> float:
    """Ratio of medians; NaN if a median was not reached."""
    first, second = median(a), median(b)
    return first / second if np.isfinite(first) and np.isfinite(second) else float("nan")
