"""Learning curves averaged over seeds, and how much of one campaign's labels another needs.

A single curve of a small committee rises and falls, and its first crossing of an error rewards the
lucky. Here the seeds are averaged first: ln(error) against what is spent, made non-increasing by
isotonic regression, which takes the mean of a bump instead of its best point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import isotonic_regression

Array = NDArray[np.float64]

_POINTS: Final = 150
RESAMPLES: Final = 2000
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, eq=False)
class Curves:
    """ln(error) of several seeds on a common axis.

    Between two points ln(error) is taken as linear in what is spent; a campaign that has ended
    keeps its last error, for it spends no more.

    Attributes:
        axis: What is spent, from the least of a first point to the most of a last one, (g,).
        logs: ln(error) of each seed, (n, g).
        first: What each seed's first point cost, (n,).
    """

    axis: Array
    logs: Array
    first: Array

    @classmethod
    def of(cls, curves: Sequence[tuple[ArrayLike, ArrayLike]]) -> Curves:
        """From (spent, error) of each seed; spent increases, errors are > 0."""
        known = [(np.asarray(x, np.float64), np.log(np.asarray(y, np.float64))) for x, y in curves]
        first = np.array([x[0] for x, _ in known])
        axis = np.linspace(first.min(), max(x[-1] for x, _ in known), _POINTS)
        return cls(axis, np.array([np.interp(axis, x, y) for x, y in known]), first)

    def mean(self, rows: NDArray[np.int64]) -> Array:
        """Mean of ln(error) over some seeds, the nearest non-increasing curve to it, (g,)."""
        fitted = isotonic_regression(self.logs[rows].mean(axis=0), increasing=False).x
        return np.asarray(fitted, dtype=np.float64)

    def needed(self, fitted: Array, goal: float, rows: NDArray[np.int64]) -> float:
        """What has been spent when a mean curve reaches ``goal``; ``inf`` if it does not.

        Args:
            fitted: See ``mean``.
            goal: ln(error).
            rows: The seeds of ``fitted``; no less is needed than their first points cost.
        """
        below = np.flatnonzero(fitted <= goal + _ROUNDING)
        if not len(below):
            return float("inf")
        k, least = int(below[0]), float(self.first[rows].mean())
        if k == 0:
            return least
        share = (fitted[k - 1] - goal) / (fitted[k - 1] - fitted[k])
        return max(least, float(self.axis[k - 1] + share * (self.axis[k] - self.axis[k - 1])))


@dataclass(frozen=True, slots=True)
class Needs:
    """What two campaigns need to reach an error that both reach.

    Attributes:
        error: The error, unit of the curves.
        ours: What the first needs.
        theirs: What the second needs.
        ratio: Their ratio.
        beyond: The same ratio without what the first points cost, which a common start shares.
    """

    error: float
    ours: float
    theirs: float
    ratio: float
    beyond: float


@dataclass(frozen=True)
class Comparison:
    """Two campaigns on one or more systems, with what chance allows.

    Attributes:
        systems: What was found on each system; ``None`` where nothing was learned.
        ratio: Geometric mean of the ratios of the systems, ``None`` if one has none.
        interval: 95 % bootstrap interval of it over paired seeds.
        beyond: Geometric mean of the ratios beyond the start.
        beyond_interval: 95 % bootstrap interval of it.
    """

    systems: tuple[Needs | None, ...]
    ratio: float | None
    interval: tuple[float, float] | None
    beyond: float | None
    beyond_interval: tuple[float, float] | None


def needs(
    ours: Curves, theirs: Curves, way: float, rows: NDArray[np.int64] | None = None
) -> Needs | None:
    """What both need to go a part of the way that both go; ``None`` if one learned nothing.

    The error compared lies a share ``way`` of the way, in ln(error), from the mean of the two
    first errors to the larger of the two last ones. It follows from the curves by this rule alone.

    Args:
        ours: Curves of one campaign.
        theirs: Curves of the other, the same seeds in the same order.
        way: In (0, 1].
        rows: The seeds; all if left out.
    """
    seeds = np.arange(len(ours.logs)) if rows is None else rows
    both = [side.mean(seeds) for side in (ours, theirs)]
    start, end = float(np.mean([fit[0] for fit in both])), max(float(fit[-1]) for fit in both)
    if end >= start - _ROUNDING:
        return None
    goal = start - way * (start - end)
    mine, other = (
        side.needed(fit, goal, seeds) for side, fit in zip((ours, theirs), both, strict=True)
    )
    extra = mine - float(ours.first[seeds].mean()), other - float(theirs.first[seeds].mean())
    beyond = extra[0] / extra[1] if extra[1] > 0 else float("nan")
    return Needs(float(np.exp(goal)), mine, other, mine / other, beyond)


def compare(
    pairs: Sequence[tuple[Curves, Curves]],
    way: float,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Geometric mean over systems, with a bootstrap over seeds.

    Each resample draws the seeds of each system, both campaigns together, and does everything
    again, the choice of the error included: so each of them has a ratio.

    Args:
        pairs: Our curves and theirs, of each system.
        way: See ``needs``.
        rng: Draws the resamples.
        resamples: How many.
    """
    found = tuple(needs(ours, theirs, way) for ours, theirs in pairs)
    ratio, beyond = _mean(found)
    drawn = []
    for _ in range(resamples):
        rows = [rng.integers(len(ours.logs), size=len(ours.logs)) for ours, _ in pairs]
        drawn.append(_mean([needs(*pair, way, row) for pair, row in zip(pairs, rows, strict=True)]))
    intervals = [
        _interval(np.array(column, dtype=np.float64)) for column in zip(*drawn, strict=True)
    ]
    return Comparison(found, ratio, intervals[0], beyond, intervals[1])


def _mean(found: Sequence[Needs | None]) -> tuple[float | None, float | None]:
    """Geometric means of ``ratio`` and ``beyond``; ``None`` if one is missing."""
    if any(one is None for one in found):
        return None, None
    pairs = np.array([(one.ratio, one.beyond) for one in found if one is not None])
    means = [
        float(np.exp(np.log(column).mean())) if np.all(column > 0) else None for column in pairs.T
    ]
    return means[0], means[1]


def _interval(values: Array) -> tuple[float, float] | None:
    """95 % of the values; ``None`` if more than 2.5 % of them are missing."""
    known = values[np.isfinite(values)]
    if len(known) < 0.975 * len(values):
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
