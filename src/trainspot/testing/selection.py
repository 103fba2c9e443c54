"""What every selection strategy must do, ours or a third party's."""

from __future__ import annotations

import numpy as np

from trainspot.judge.select import Judged, strategy
from trainspot.seeds import generator


def check_selection(name: str, judged: Judged) -> None:
    """Assert the contract of the selection strategy registered as ``name``.

    - it chooses different candidates, as many as the budget and the candidates allow;
    - the same generator gives the same choice.

    Args:
        name: Name of the strategy.
        judged: Some candidates, at least four.
    """
    candidates = judged.frames.ids
    for budget in (0, 1, len(candidates) - 1, len(candidates), len(candidates) + 5):
        first, again = (
            strategy(name).select(judged, budget, generator(3, "check", budget)) for _ in range(2)
        )
        assert first == again, "the same seed gives the same choice"
        assert len(set(first)) == len(first), "no frame is chosen twice"
        assert set(first) <= set(candidates), "only candidates are chosen"
        assert len(first) == min(budget, len(candidates)), "the budget is used"
    empty = Judged(judged.frames[:0], np.zeros(0))
    assert strategy(name).select(empty, 3, generator(0)) == []
