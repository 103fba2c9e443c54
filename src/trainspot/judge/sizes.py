"""The effect of the committee size: calibrations of all smaller committees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

import numpy as np

from trainspot.common.properties import Property
from trainspot.data.dataset import Dataset
from trainspot.judge.calibrate import calibrate
from trainspot.judge.pairs import Pairs, collect_pairs
from trainspot.judge.settings import CalibrateSettings, Tolerance
from trainspot.predictions.calibration import Calibration
from trainspot.predictions.predictions import Predictions

MAX_COMMITTEES: Final = 12
"""Largest number of committees of one size; they are chosen evenly if there are more."""


@dataclass(frozen=True)
class SizeScore:
    """The calibrations of committees of one size on the same frames.

    Attributes:
        size: Number of members.
        calibrations: For each property, a calibration of each tried committee of this size.
        pairs: The pairs of each of these committees.
    """

    size: int
    calibrations: Mapping[Property, tuple[Calibration, ...]]
    pairs: tuple[Pairs, ...]


def comparable(dataset: Dataset, pairs: Pairs, predictions: Predictions) -> Dataset:
    """The calibration frames of a committee that can also test its smaller committees.

    These frames are the validation frames of the iteration and the audit frames in a held-out
    split. The other audit frames became training frames of this committee. Held-out frames
    outside the pairs are test frames, or were labelled later because they were flagged, which is
    no random choice.

    Args:
        dataset: Frames with labels and splits, of this or a later iteration: splits never change.
        pairs: The calibration pairs of the committee.
        predictions: Predictions of the committee.

    Returns:
        The frames in the order of the pairs.
    """
    labelled, predicted = dataset.labelled(), set(predictions.ids)
    held_out = {i for split in ("validation", "test") for i in labelled.subset(split).ids}
    counted = zip(pairs.frame_ids, pairs.held_out, strict=True)
    return labelled.select(i for i, out in counted if out and i in held_out and i in predicted)


def by_size(
    dataset: Dataset,
    predictions: Predictions,
    tolerance: Tolerance,
    settings: CalibrateSettings,
) -> list[SizeScore]:
    """Calibrate all committees of 2, 3, … members that are part of one committee.

    Args:
        dataset: Labelled frames; training frames are left out.
        predictions: Predictions of at least two members for these frames.
        tolerance: ε of each property.
        settings: How thresholds are fitted.
    """
    scores = []
    for size in range(2, len(predictions.members) + 1):
        chosen = list(combinations(range(len(predictions.members)), size))
        if len(chosen) > MAX_COMMITTEES:
            rows = np.linspace(0, len(chosen) - 1, MAX_COMMITTEES).round().astype(int)
            chosen = [chosen[row] for row in rows]
        pairs = tuple(collect_pairs(dataset, _of(predictions, rows)) for rows in chosen)
        fits = [calibrate(part, tolerance, settings, 0) for part in pairs]
        calibrations = {name: tuple(fit[name] for fit in fits) for name in tolerance.given}
        scores.append(SizeScore(size, calibrations, pairs))
    return scores


def _of(predictions: Predictions, members: tuple[int, ...]) -> Predictions:
    rows = list(members)
    return replace(
        predictions,
        energy=predictions.energy[rows],
        forces=predictions.forces[rows],
        stress=predictions.stress[rows],
        members=tuple(predictions.members[row] for row in rows),
    )
