"""Ranked selection: the highest scores first."""

from __future__ import annotations

import numpy as np

from trainspot.judge.select import Judged, Selection


class RankedSelection(Selection):
    """The frames with the highest threshold ratios; for comparison, not for use alone.

    The most uncertain frames resemble one another, and many of them are unphysical: without the
    top of the ranking, selection had no advantage over random choice.
    """

    def select(self, judged: Judged, budget: int, rng: np.random.Generator) -> list[str]:
        """See ``Selection.select``; nothing is drawn at random; equal scores are sorted by id."""
        del rng
        ids = judged.frames.ids
        rows = sorted(range(len(ids)), key=lambda row: (-judged.score[row], ids[row]))
        return [ids[row] for row in rows[:budget]]
