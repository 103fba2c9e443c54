"""From disagreement to calibrated error bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainspot.predictions.statistics import Array


@dataclass(frozen=True)
class Trust:
    """What a calibration says of one property.

    Attributes:
        scale: Standard error per disagreement.
        threshold: Disagreement above which a frame would be labelled.
        atom_scale: Standard error of the force on a single atom per disagreement about it;
            ``None``: not fitted.
    """

    scale: float
    threshold: float
    atom_scale: float | None = None


def calibrated(
    disagreement: Mapping[str, Array], has_stress: NDArray[np.bool_], trust: Mapping[str, Trust]
) -> dict[str, Array]:
    """Error bars of the calibrated properties, scale × Δ, and ``excess``, (N,) each.

    ``excess`` is the largest Δ/τ over the calibrated properties: above 1 a campaign would have
    labelled the frame. Infinite where Δ is; the bar of the stress is NaN where a frame has none,
    for 0 would claim that it is known.

    Args:
        disagreement: Δ of each property, (N,) each, see ``Predictions.disagreement``.
        has_stress: Which frames have a stress, (N,).
        trust: Of each calibrated property; where there is none, the result is empty.
    """
    if not trust:
        return {}
    found = {name: one.scale * disagreement[name] for name, one in trust.items()}
    if "stress" in found:
        found["stress"] = np.where(has_stress, found["stress"], np.nan)
    with np.errstate(invalid="ignore"):  # an infinite Δ where no threshold is known
        judged = [disagreement[name] / one.threshold for name, one in trust.items()]
    return found | {"excess": np.nan_to_num(np.max(judged, axis=0), nan=np.inf, posinf=np.inf)}
