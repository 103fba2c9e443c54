"""What a campaign knows of its pool: its use so far, and the true errors of judged frames."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from trainspot.campaign.record import PoolUse
from trainspot.judge.decision import Kind
from trainspot.judge.pairs import collect_pairs
from trainspot.judge.verdict import misses

if TYPE_CHECKING:
    from collections.abc import Collection

    from trainspot.data.dataset import Dataset
    from trainspot.judge.judgement import Judgement
    from trainspot.judge.settings import Tolerance
    from trainspot.predictions.predictions import Predictions


def use_of(pool: Dataset, taken: Collection[str]) -> PoolUse:
    """Size of a pool and its rest; isolated atoms do not count, since none is explored.

    Args:
        pool: All frames of the pool, each once.
        taken: Ids of frames in the dataset, and of frames that could not be labelled.
    """
    out, ids, alone = set(taken), pool.ids, pool.is_isolated.tolist()
    free = [identity not in out for identity, atom in zip(ids, alone, strict=True) if not atom]
    return PoolUse(len(free), sum(free))


def compared(
    use: PoolUse,
    reference: Dataset,
    predictions: Predictions,
    judgement: Judgement,
    tolerance: Tolerance,
) -> PoolUse:
    """The pool with the true errors of the frames that were judged, which no decision uses.

    Args:
        use: The pool.
        reference: Explored frames with their labels; frames without labels do not count.
        predictions: The predictions of the judgement.
        judgement: The judgement.
        tolerance: ε of each property.
    """
    frames = reference.labelled()
    if not len(frames):
        return use
    flagged = set(judgement.flagged)
    valid = (Kind.SELECTED, Kind.AUDIT, Kind.PASSED_OVER)
    unflagged = [
        identity
        for identity in frames.ids
        if identity not in flagged and judgement.decisions[identity].kind in valid
    ]
    pairs = collect_pairs(frames.select(unflagged), predictions, trained=())
    return replace(
        use,
        rmse=dict(predictions.select(frames.ids).rmse(frames)),
        unflagged=len(pairs),
        missed=misses(pairs, tolerance),
    )
