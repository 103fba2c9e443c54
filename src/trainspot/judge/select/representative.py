"""Representative selection: the frames that stand for the most others."""

from __future__ import annotations

from typing import Final

import numpy as np

from trainspot.errors import InputError
from trainspot.evaluate.statistics import Array
from trainspot.judge.select import Judged

_ROWS: Final = 1024  # of the matrix of distances in memory at a time


class RepresentativeSelection:
    """Greedy facility location in descriptor space, with the known frames in place.

    Each choice is the candidate that lowers the most the sum, over all candidates, of the squared
    distance to the nearest known or chosen frame. Dense regions come first and outliers last,
    whereas ``diverse`` takes the outliers first. The greedy choice is within 1 - 1/e of the best
    one (G. L. Nemhauser, L. A. Wolsey and M. L. Fisher, Math. Program. 14, 265, 1978).
    """

    needs_descriptors = True

    def select(self, judged: Judged, budget: int, rng: np.random.Generator) -> list[str]:
        """See ``Selection.select``; nothing is drawn at random, equal gains go by id.

        Raises:
            InputError: There are no descriptors.
        """
        del rng
        if judged.descriptors is None:
            raise InputError("representative selection needs descriptors of the candidates")
        ids, points = judged.frames.ids, judged.descriptors
        if budget >= len(ids) or not budget:
            return ids[:budget]
        known = points[:0] if judged.known is None else judged.known
        nearest = _squares(points, known).min(axis=1, initial=np.inf)
        if not len(known):  # any first choice must be better than none, and by a finite amount
            nearest[:] = 1.0 + 4.0 * float(
                np.square(points - points.mean(axis=0)).sum(axis=1).max()
            )
        chosen: list[int] = []
        for _ in range(budget):
            gains = _gains(points, nearest)
            gains[chosen] = -1.0
            row = int(np.argmax(np.round(gains, 12)))
            chosen.append(row)
            nearest = np.minimum(nearest, _squares(points, points[row : row + 1])[:, 0])
        return [ids[row] for row in chosen]


def _gains(points: Array, nearest: Array) -> Array:
    """How much the sum of squared distances falls if each point is chosen, (n,)."""
    found = np.zeros(len(points))
    for start in range(0, len(points), _ROWS):
        block = _squares(points[start : start + _ROWS], points)
        found[start : start + _ROWS] = np.clip(nearest - block, 0.0, None).sum(axis=1)
    return found


def _squares(points: Array, others: Array) -> Array:
    """Squared distances, (n, m), never negative."""
    sums = np.square(points).sum(axis=1)[:, None] + np.square(others).sum(axis=1)
    return np.asarray(np.clip(sums - 2.0 * points @ others.T, 0.0, None))
