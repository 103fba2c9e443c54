"""The selection of the paper: at random among the flagged frames."""

from __future__ import annotations

import numpy as np

from trainspot.judge.select import Judged, Selection, draw


class RandomSelection(Selection):
    """All candidates are equally likely."""

    def select(self, judged: Judged, budget: int, rng: np.random.Generator) -> list[str]:
        """See ``Selection.select``."""
        return draw(judged.frames.ids, budget, rng)
