"""The contract test of selection strategies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trainspot.common.seeds import generator
from trainspot.judge.select import Judged, strategy


def check_selection(name: str, judged: Judged) -> None:
    """Assert the contract of the selection strategy registered as ``name``.

    - the strategy chooses different candidates, as many as the budget and the candidates allow;
    - the same generator gives the same choice;
    - the strategy works without known frames, and with candidates that are copies of one another.

    Args:
        name: Name of the strategy.
        judged: Some candidates, at least four, with descriptors if the strategy needs them.
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
    points = None if judged.descriptors is None else judged.descriptors[:0]
    empty = Judged(judged.frames[:0], np.zeros(0), points, judged.known)
    assert strategy(name).select(empty, 3, generator(0)) == []
    if judged.descriptors is not None:
        copies = replace(judged, descriptors=np.zeros_like(judged.descriptors))
        chosen = strategy(name).select(copies, 2, generator(0))
        assert len(set(chosen)) == 2, "copies are told apart by their ids"
    if judged.known is not None:
        alone = replace(judged, known=judged.known[:0])
        chosen = strategy(name).select(alone, 2, generator(0))
        assert len(set(chosen)) == 2, "it can choose where nothing is known"
