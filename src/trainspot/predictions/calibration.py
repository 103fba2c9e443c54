"""The calibration of one property: a plain record, as in nodes and in ``calibration.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Final, Literal

from pydantic import TypeAdapter, ValidationError

from trainspot.common.errors import DataError
from trainspot.predictions.error_bars import Trust

MIN_PAIRS: Final = 12
"""Smallest number of pairs for a fit, unless the method needs more."""

Interval = tuple[float, float]

Verdict = Literal["good", "poor", "undetermined"]

Basis = Literal["fit", "largest ratio", "no pairs", "given", ""]


@dataclass(frozen=True)
class Calibration:
    """The threshold of one property, and its quality.

    Attributes:
        property: energy, forces or stress.
        method: Name of the method.
        slope: Error per disagreement: e ≈ slope · Δ and τ = ε / slope for every method.
        interval: 95 % bootstrap interval of the slope; ``None`` if undetermined.
        pairs: Number of pairs used.
        held_out: Number of these pairs that were in no training set of the committee (all).
        verdict: good; poor: Δ and e hardly correlate; undetermined: too few pairs.
        threshold: τ = ε / slope.
        fitted: Whether the method gave the threshold.
        tolerance: ε.
        spearman: Rank correlation of Δ and e (0 if one of them is constant or pairs are missing).
        coverage: Share of the pairs with e ≤ slope · Δ, cross-validated.
        tpr: Of the threshold, see ``judge.scoring.Rates``; cross-validated: a tenth of the pairs
            is judged by the threshold of the others. The frames are still like those of the fit.
        ppv: The same.
        tpr_interval: The same.
        ppv_interval: The same.
        nominal: Share of the errors that slope · Δ should cover, see
            ``judge.calibrate.Method``.
        sigma: Standard error per disagreement: 68 % of the errors of frames are within
            sigma · Δ, see ``judge.bars``; ``None`` with too few frames.
        miscalibration: Area between expected and observed coverage, cross-validated, see
            ``judge.diagnostics``.
        atom_sigma: Of forces: standard error of a single atom per disagreement about that atom.
        atoms: Number of atoms behind ``atom_sigma``.
        needed: Smallest number of pairs for a fit.
        committee: The committee that disagrees, see ``Predictions.committee``; empty if unknown.
        basis: Where the threshold comes from: a fit; the largest ratio e/Δ, because the pairs do
            not support a fit; nothing, without any pair; or the user. Empty in calibrations of
            earlier versions, whose threshold without a fit is the tolerance.
        bar_90: 90 % of the errors of frames are within bar_90 · Δ.
        atom_bar_90: The same for the force on a single atom.
        bars_from: The frames behind ``sigma`` and ``bar_90``: ``audit`` or ``validation``; empty
            without bars, and in calibrations of earlier versions.
        bars_frames: Number of these frames.
    """

    property: str
    method: str
    slope: float
    interval: Interval | None
    pairs: int
    held_out: int
    verdict: Verdict
    threshold: float
    fitted: bool
    tolerance: float
    spearman: float
    coverage: float | None
    tpr: float | None
    ppv: float | None
    tpr_interval: Interval | None
    ppv_interval: Interval | None
    nominal: float | None = None
    sigma: float | None = None
    miscalibration: float | None = None
    atom_sigma: float | None = None
    atoms: int | None = None
    needed: int = MIN_PAIRS
    committee: str = ""
    basis: Basis = ""
    bar_90: float | None = None
    atom_bar_90: float | None = None
    bars_from: Literal["audit", "validation", ""] = ""
    bars_frames: int = 0

    def missing(self) -> int:
        """Number of pairs that a fit lacks."""
        return max(0, self.needed - self.pairs)

    def is_blind(self) -> bool:
        """Whether no pair says anything about the threshold."""
        return not self.fitted and self.basis in ("", "no pairs")

    def has_bars(self) -> bool:
        """Whether there are error bars."""
        return self.fitted or bool(self.bars_from)

    @classmethod
    def given(cls, name: str, threshold: float) -> Calibration:
        """A calibration with a threshold that the user gave."""
        content: dict[str, Any] = dict.fromkeys(field.name for field in fields(cls))
        content |= {"property": name, "method": "given", "threshold": threshold, "fitted": True}
        content |= {"pairs": 0, "held_out": 0, "spearman": 0.0, "slope": 1.0, "needed": 0}
        content |= {"committee": "", "basis": "given", "bars_from": "", "bars_frames": 0}
        return cls(**content | {"tolerance": threshold, "verdict": "undetermined"})

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Calibration:
        """The inverse of ``to_dict``; reads calibrations of earlier versions too.

        Raises:
            DataError: Something is missing or of a wrong type.
        """
        try:
            return _adapter().validate_python(content)
        except ValidationError as error:
            raise DataError("this is not a calibration") from error


@cache
def _adapter() -> TypeAdapter[Calibration]:
    return TypeAdapter(Calibration)


def trusted(calibrations: Mapping[str, Calibration]) -> dict[str, Trust]:
    """What error bars need of the calibrations that have them."""
    return {
        name: Trust(
            fit.sigma or fit.slope, fit.threshold, fit.atom_sigma, fit.bar_90, fit.atom_bar_90
        )
        for name, fit in calibrations.items()
        if fit.has_bars()
    }
