"""Errors of a committee on the labelled frames of each split."""

from __future__ import annotations

from collections.abc import Iterator

from trainspot.campaign.record import MemberError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import SPLITS
from trainspot.predictions.absolute import Absolute, absolute_errors
from trainspot.predictions.predictions import Predictions


def rmse(dataset: Dataset, predictions: Predictions) -> dict[str, dict[str, MemberError]]:
    """Mean and standard deviation over members of the RMSE, by split and property.

    Only labelled and evaluated frames count; splits without such frames are left out.
    """
    errors: dict[str, dict[str, MemberError]] = {}
    for split, frames in _evaluated(dataset, predictions):
        members = predictions.select(frames.ids).member_rmse(frames)
        errors[split] = {
            name: MemberError(float(values.mean()), float(values.std(ddof=1)))
            for name, values in members.items()
        }
    return errors


def absolute(dataset: Dataset, predictions: Predictions) -> dict[str, dict[str, Absolute]]:
    """Absolute errors of the committee mean, by split and property, of the same frames."""
    return {
        split: absolute_errors(predictions.select(frames.ids), frames)
        for split, frames in _evaluated(dataset, predictions)
    }


def _evaluated(dataset: Dataset, predictions: Predictions) -> Iterator[tuple[str, Dataset]]:
    """Labelled and evaluated frames of each split that has some."""
    evaluated = set(predictions.ids)
    for split in SPLITS:
        frames = dataset.labelled().subset(split)
        frames = frames.select([identity for identity in frames.ids if identity in evaluated])
        if len(frames):
            yield split, frames
