"""From disagreement to calibrated error bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainspot.predictions.statistics import Array

RATIO: Final = "threshold_ratio"
"""Name of the largest Δ/τ of a frame in files and results."""

FORMER_RATIO: Final = "excess"
"""Its former name, the only one in old files; new files and results have both for one release."""

NINETY: Final = "_90"
"""End of the names of 90 % error bars: ``forces_90`` beside the sigma ``forces``."""

NOVELTY: Final = "novelty"
"""Name of the novelty of a frame in files and results: distance over threshold."""


@dataclass(frozen=True)
class Trust:
    """The calibration of one property.

    Attributes:
        scale: Standard error per disagreement.
        threshold: Disagreement above which a frame would be labelled.
        atom_scale: Standard error of the force on a single atom per disagreement of this force;
            ``None``: unknown.
        wide: Width of the 90 % error bar per disagreement; ``None`` in files of earlier versions.
        atom_wide: The same for the force on a single atom.
    """

    scale: float
    threshold: float
    atom_scale: float | None = None
    wide: float | None = None
    atom_wide: float | None = None


def columns(trust: Mapping[str, Trust], *, novelty: bool = False) -> list[str]:
    """The names that ``calibrated`` gives, with or without a novelty."""
    wide = [f"{name}{NINETY}" for name, one in trust.items() if one.wide is not None]
    named = [*trust, *wide, RATIO] if trust or novelty else []
    return [*named, NOVELTY] if novelty else named


def calibrated(
    disagreement: Mapping[str, Array],
    has_stress: NDArray[np.bool_],
    trust: Mapping[str, Trust],
    novelty: Array | None = None,
) -> dict[str, Array]:
    """Error bars of the calibrated properties and ``threshold_ratio``, (N,) each.

    ``NAME`` is a sigma, scale × Δ, which covers 68 % of the errors; ``NAME_90`` covers 90 %.

    ``threshold_ratio`` is the largest Δ/τ over the calibrated properties: above 1 a campaign would
    have labelled the frame. It is infinite where Δ is infinite. The sigma of the stress is NaN for
    a frame without a stress, because 0 would mean a stress without error.

    Where the novelty is above 1, the frame is outside the training frames: its bars are NaN,
    because nothing is known about errors there, and ``threshold_ratio`` is at least the novelty.

    Args:
        disagreement: Δ of each property, (N,) each, see ``Predictions.disagreement``.
        has_stress: Which frames have a stress, (N,).
        trust: Calibration of each calibrated property; the result is empty without any, unless
            there is a novelty.
        novelty: Novelty of each frame, (N,), if it is known; the result then has it.
    """
    bars = _bars(disagreement, has_stress, trust) if trust else {}
    if novelty is None:
        return bars
    inside = {n: np.where(novelty > 1.0, np.nan, v) for n, v in bars.items() if n != RATIO}
    return inside | {RATIO: np.maximum(bars.get(RATIO, novelty), novelty), NOVELTY: novelty}


def _bars(
    disagreement: Mapping[str, Array], has_stress: NDArray[np.bool_], trust: Mapping[str, Trust]
) -> dict[str, Array]:
    bars = {name: calibration.scale * disagreement[name] for name, calibration in trust.items()}
    bars |= {
        f"{name}{NINETY}": calibration.wide * disagreement[name]
        for name, calibration in trust.items()
        if calibration.wide is not None
    }
    for name in bars.keys() & {"stress", f"stress{NINETY}"}:
        bars[name] = np.where(has_stress, bars[name], np.nan)
    with np.errstate(invalid="ignore"):  # an infinite Δ without a threshold
        judged = [disagreement[name] / calibration.threshold for name, calibration in trust.items()]
    return bars | {RATIO: np.nan_to_num(np.max(judged, axis=0), nan=np.inf, posinf=np.inf)}
