"""One node with the predictions of a committee for the comparison frames."""

from __future__ import annotations

from aiida.orm import Bool, SinglefileData

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.data.predictions import (
    PredictionsData,
    predicted_ids,
    read_predictions,
)
from aiida_trainspot.functions.base import decision
from trainspot.campaign import decisions as pure


@decision
def complete_predictions(
    dataset: PESData,
    everything: Bool,
    predictions: SinglefileData,
    added: SinglefileData | None = None,
) -> PredictionsData:
    """A committee's predictions for the comparison frames, from earlier and added predictions."""
    frames = pure.comparison_set(dataset.dataset, everything=everything.value)
    parts = [read_predictions(node) for node in (predictions, added) if node is not None]
    return PredictionsData(pure.completed(frames, *parts))


def frames_to_compare(
    dataset: PESData, predictions: SinglefileData, *, everything: bool
) -> tuple[int, int]:
    """Number of comparison frames of a committee, and how many of them lack predictions.

    Args:
        dataset: All frames.
        predictions: Predictions of the committee from its judgement.
        everything: Whether all labelled frames are compared, or only the test frames.
    """
    with dataset.opened() as frames:
        rows = pure.comparison_rows(frames, everything=everything)
        compared = {identity.decode() for identity in frames.column("id")[rows].tolist()}
    return len(compared), len(compared.difference(predicted_ids(predictions)))
