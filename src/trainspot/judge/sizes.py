"""How many members it takes: the calibration of every smaller committee."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

import numpy as np

from trainspot.common.properties import Property
from trainspot.data.dataset import Dataset
from trainspot.judge.calibrate import Calibration, calibrate
from trainspot.judge.pairs import Pairs, collect_pairs
from trainspot.judge.settings import CalibrateSettings, Tolerance
from trainspot.predictions.predictions import Predictions

MAX_COMMITTEES: Final = 12
"""Committees of one size that are tried; evenly chosen where there are more."""


@dataclass(frozen=True)
class SizeScore:
    """How committees of one size fare on the same frames.

    Attributes:
        size: Members.
        calibrations: Of each property, one for each committee of this size that was tried.
        pairs: What they were fitted to, of each of these committees.
    """

    size: int
    calibrations: Mapping[Property, tuple[Calibration, ...]]
    pairs: tuple[Pairs, ...]


def comparable(dataset: Dataset, pairs: Pairs, predictions: Predictions) -> Dataset:
    """The frames a committee was calibrated with of which its smaller committees can be judged.

    Those are the validation frames of its time, and audit frames that went to a held-out set.
    Other audit frames were judged by earlier committees and then trained on by this one. Held-out
    frames that are not among the pairs are kept for tests, or were labelled later because they
    were flagged: no random ones.

    Args:
        dataset: Frames with their labels and sets, from then or later: sets never change.
        pairs: What the committee was calibrated with.
        predictions: Of the committee.

    Returns:
        In the order of the pairs.
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
    """Calibrate all committees of 2, 3, … members that can be formed of one.

    Args:
        dataset: Labelled frames; training frames among them are left out.
        predictions: Of at least two members, for these frames.
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
