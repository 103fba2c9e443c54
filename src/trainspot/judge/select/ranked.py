"""Ranked selection: the highest scores first."""

from __future__ import annotations

import numpy as np

from trainspot.judge.select import Judged, Selection


class RankedSelection(Selection):
    """The frames farthest beyond their threshold; for comparison, not to be used alone.

    The most uncertain frames resemble one another, and many are the least physical ones: cutting
    the top of the ranking took away what selection had gained over random choice.
    """

    def select(self, judged: Judged, budget: int, rng: np.random.Generator) -> list[str]:
        """See ``Selection.select``; nothing is drawn at random, equal scores go by id."""
        del rng
        ids = judged.frames.ids
        rows = sorted(range(len(ids)), key=lambda row: (-judged.score[row], ids[row]))
        return [ids[row] for row in rows[:budget]]
