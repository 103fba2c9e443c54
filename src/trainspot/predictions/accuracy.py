"""Disagreement of a committee, and error of labelled frames, for each frame of a dataset.

Frames keep the order of the dataset, so that the numbers match its columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainspot.common.errors import InputError
from trainspot.common.properties import PROPERTIES
from trainspot.data.dataset import Dataset
from trainspot.predictions.predictions import Predictions
from trainspot.predictions.statistics import Array


@dataclass(frozen=True, eq=False)
class Accuracy:
    """Δ and e of the N frames of a dataset (formulas: ``statistics``).

    Attributes:
        frame_ids: The frames, in the order of the dataset.
        predicted: Whether each frame has predictions, (N,).
        disagreement: Δ of ``energy`` (eV/atom), ``forces``, ``forces_p95``, ``forces_max`` (eV/Å)
            and ``stress`` (eV/Å³), (N,) each. NaN for a frame without predictions, infinite if a
            member is not finite. Empty for a single model, which has no disagreement.
        error: e of the committee mean of ``energy``, ``forces`` and ``stress``, (N,) each, in the
            same units. NaN without prediction or label.
    """

    frame_ids: tuple[str, ...]
    predicted: NDArray[np.bool_]
    disagreement: Mapping[str, Array]
    error: Mapping[str, Array]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.frame_ids)


def accuracy(dataset: Dataset, predictions: Predictions) -> Accuracy:
    """Join a dataset with the predictions of one committee, or of one model, for its frames.

    Args:
        dataset: Frames, labelled or not, predicted or not.
        predictions: May contain other frames as well.

    Raises:
        InputError: No frame of the dataset was predicted.
    """
    ids = dataset.ids
    rows = {identity: row for row, identity in enumerate(predictions.ids)}
    row = np.array([rows.get(identity, -1) for identity in ids], dtype=np.int64)
    predicted = row >= 0
    if not predicted.any():
        raise InputError(
            "no frame of this dataset was predicted", hint="give predictions of these frames"
        )
    wanted, place = np.unique(row[predicted], return_inverse=True)
    mine, frames = predictions.take(wanted), dataset.take(predicted).merge()
    errors, labelled = mine.errors(frames), mine.referenced(frames)
    error = {name: np.where(labelled[name], errors[name], np.nan) for name in PROPERTIES}
    disagreement = mine.disagreement() if len(mine.members) > 1 else {}

    def spread(values: Array) -> Array:
        whole = np.full(len(ids), np.nan)
        whole[predicted] = values[place]
        return whole

    return Accuracy(
        tuple(ids),
        predicted,
        {name: spread(values) for name, values in disagreement.items()},
        {name: spread(values) for name, values in error.items()},
    )
