"""Error bars of single atoms: their own scale, and how many errors they cover.

The error of a frame is an average over its atoms, and so is its disagreement: what the scale of
frames covers of the errors of single atoms is another number, mostly near it and sometimes not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from trainspot.judge.calibrate import NEGLIGIBLE, Calibration
from trainspot.judge.diagnostics import sigma_per_delta

if TYPE_CHECKING:
    from trainspot.dataset import Dataset
    from trainspot.evaluate.predictions import Predictions
    from trainspot.evaluate.statistics import Array
    from trainspot.judge.scoring import Rates


class AtomPairs(NamedTuple):
    """Disagreement and error of the force on each atom of some frames, eV/Å.

    Attributes:
        delta: Root mean square over the three components of the spread of the members, (A,).
        error: The same of the error of their mean, (A,).
    """

    delta: Array
    error: Array


def collect_atoms(
    dataset: Dataset, predictions: Predictions, trained: Collection[str] | None = None
) -> AtomPairs:
    """Δ and e of the atoms of the labelled frames that were evaluated, in no training set.

    Frames of which a member's prediction is not finite are left out.

    Args:
        dataset: Labelled frames; those that the predictions lack are left out.
        predictions: Of one committee, at least two members.
        trained: See ``judge.pairs.collect_pairs``.
    """
    labelled = dataset.labelled()
    out = set(labelled.subset("train").ids if trained is None else trained)
    known = set(predictions.ids) - out
    chosen = labelled.select(dict.fromkeys(i for i in labelled.ids if i in known))
    mine = predictions.select(chosen.ids)
    finite = np.repeat(mine.is_finite, chosen.n_atoms)
    delta = mine.atom_disagreement()
    off = mine.forces.mean(axis=0, dtype=np.float64) - chosen.column("forces")
    error = np.sqrt(np.mean(off**2, axis=1))
    return AtomPairs(delta[finite], error[finite])


def with_atom_scale(
    calibrations: Mapping[str, Calibration],
    dataset: Dataset,
    predictions: Predictions,
) -> dict[str, Calibration]:
    """The same calibrations, that of the forces with the scale of single atoms if it was fitted.

    Args:
        calibrations: Of each property.
        dataset: Labelled frames; those of the training set are left out.
        predictions: Of the committee.
    """
    made = calibrations.get("forces")
    if made is None or not made.fitted:
        return dict(calibrations)
    delta, error = collect_atoms(dataset, predictions)
    usable = (delta > NEGLIGIBLE * made.tolerance) & (error > NEGLIGIBLE * made.tolerance)
    if not usable.any():
        return dict(calibrations)
    scale = sigma_per_delta(delta[usable], error[usable])
    found = replace(made, atom_sigma=scale, atoms=int(usable.sum()))
    return {**calibrations, "forces": found}


def with_atom_coverage(
    rates: Mapping[str, Rates],
    calibrations: Mapping[str, Calibration],
    dataset: Dataset,
    predictions: Predictions,
) -> dict[str, Rates]:
    """The same rates, those of the forces with the share of atoms with e ≤ ``atom_sigma`` · Δ.

    Args:
        rates: Of each property.
        calibrations: What the frames were judged by.
        dataset: The frames, labelled since.
        predictions: What they were judged by.
    """
    scale = calibrations["forces"].atom_sigma if "forces" in calibrations else None
    if scale is None or "forces" not in rates:
        return dict(rates)
    delta, error = collect_atoms(dataset, predictions, trained=())
    if not len(delta):
        return dict(rates)
    share = float(np.mean(error <= scale * delta))
    return {**rates, "forces": replace(rates["forces"], atom_coverage=share)}
