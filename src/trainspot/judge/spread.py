"""Tolerances that every model meets, and tolerances of properties without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from trainspot.common.properties import UNITS
from trainspot.common.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trainspot.data.dataset import Dataset
    from trainspot.judge.settings import Tolerance

USUAL: Final = {"energy": 0.3, "forces": 3.0, "stress": 0.3}
"""Usual upper limits of the spread of labels, mostly far less; eV/atom, eV/Å, eV/Å³."""

_SHARP: Final = {"energy": 0.005, "forces": 0.3, "stress": 0.005}
"""Tolerances without a warning: labels may have no spread, by symmetry."""

_FEWEST: Final = 5  # smallest number of labelled frames for a spread
_MOST: Final = 2000  # largest number of frames in the estimate


def spreads(dataset: Dataset, rng: np.random.Generator) -> dict[str, float]:
    """Root mean square error of a model that predicts constants.

    The model predicts energies (eV/atom) with a constant for each element, forces (eV/Å) with
    zero, and stresses (eV/Å³) with their mean. Single atoms and properties of too few frames are
    left out.

    Args:
        dataset: Labelled and unlabelled frames.
        rng: Draws frames where there are many.
    """
    rows = np.flatnonzero(dataset.n_atoms > 1)
    if len(rows) > _MOST:
        rows = np.sort(rng.choice(rows, _MOST, replace=False))
    some = dataset.take(rows)
    rms = {}
    has_energy = np.flatnonzero(some.column("has_energy"))
    if len(has_energy) >= _FEWEST:
        rms["energy"] = _energies(some.take(has_energy))
    has_forces = np.flatnonzero(some.column("has_forces"))
    if len(has_forces) >= _FEWEST:
        rms["forces"] = float(np.sqrt(np.square(some.take(has_forces).column("forces")).mean()))
    has_stress = some.column("has_stress")
    if has_stress.sum() >= _FEWEST:
        stress = some.column("stress")[has_stress]
        rms["stress"] = float(np.sqrt(np.square(stress - stress.mean(axis=0)).mean()))
    return rms


def _energies(frames: Dataset) -> float:
    numbers, sizes = frames.column("numbers").astype(np.int64), frames.n_atoms
    elements, kinds = np.unique(numbers, return_inverse=True)
    shares = np.zeros((len(frames), len(elements)))
    np.add.at(shares, (np.repeat(np.arange(len(frames)), sizes), kinds.reshape(-1)), 1.0)
    shares /= sizes[:, None]
    energy = frames.column("energy") / sizes
    rest = energy - shares @ np.linalg.lstsq(shares, energy, rcond=None)[0]
    return float(np.sqrt(np.square(rest).mean()))


def too_wide(tolerance: Tolerance, dataset: Dataset, rng: np.random.Generator) -> Iterator[str]:
    """Tolerances that a model without training meets, one line each.

    Args:
        tolerance: Tolerances of the user.
        dataset: Labelled frames; without labels the usual spread is used.
        rng: See ``spreads``.
    """
    measured = spreads(dataset, rng)
    for name, value in tolerance.given.items():
        unit = UNITS[name]
        text = f"tolerance.{name} = {value:g} {unit}"
        remedy = f"every model meets this tolerance; is the unit {unit}, not m{unit}?"
        if name in measured and value >= max(measured[name], _SHARP[name]):
            spread = f"the spread of the labels, {measured[name]:.3g} {unit}"
            yield f"{text} is larger than {spread}: {remedy}"
        elif name not in measured and value >= USUAL[name]:
            yield (
                f"{text} is larger than the usual spread of labels, at most about {USUAL[name]:g} "
                f"{unit}: {remedy}"
            )


def without_stress(
    tolerance: Tolerance, dataset: Dataset, *, engine_has_stress: bool
) -> Iterator[str]:
    """A warning if the user wrote a tolerance for stresses that no frame will have.

    Args:
        tolerance: Tolerances of the user; a default that the user did not write gives no warning.
        dataset: The frames that the campaign starts from.
        engine_has_stress: Whether new labels have stresses.
    """
    if tolerance.stress is None or "stress" not in tolerance.model_fields_set:
        return
    labelled = int(dataset.is_labelled.sum())
    if not dataset.column("pbc").any():
        why = "no frame is periodic, so no frame has a stress"
    elif not engine_has_stress and not dataset.column("has_stress").any():
        why = "the label engine computes no stress, and no frame has one"
    elif labelled and labelled == len(dataset) and not dataset.column("has_stress").any():
        why = f"none of the {counted(labelled, 'labelled frame')} has a stress"
    else:
        return
    asked = f"tolerance.stress = {tolerance.stress:g} {UNITS['stress']}"
    yield f"{asked}, but {why}; write stress: null"
