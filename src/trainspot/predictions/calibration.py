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
        threshold: τ; without a fit, the tolerance.
        fitted: Whether the threshold comes from the pairs.
        tolerance: ε.
        spearman: Rank correlation of Δ and e (0 if one of them is constant or pairs are missing).
        coverage: Share of the pairs with e ≤ slope · Δ.
        tpr: Of the threshold on the same pairs, see ``judge.scoring.Rates``.
        ppv: The same.
        tpr_interval: The same.
        ppv_interval: The same.
        nominal: Share of the errors that slope · Δ should cover, see
            ``judge.calibrate.Method``.
        sigma: Standard error per disagreement: 68 % of the pairs have e ≤ sigma · Δ, for every
            method; ``None`` if undetermined.
        miscalibration: Area between expected and observed coverage, see ``judge.diagnostics``.
        atom_sigma: Of forces: standard error of a single atom per disagreement about that atom;
            see ``judge.atoms``.
        atoms: Number of atoms in the fit of ``atom_sigma``.
        needed: Smallest number of pairs for a fit.
        committee: The committee that disagrees, see ``Predictions.committee``; empty if unknown.
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

    @classmethod
    def given(cls, name: str, threshold: float) -> Calibration:
        """A calibration with a threshold that the user gave."""
        content: dict[str, Any] = dict.fromkeys(field.name for field in fields(cls))
        content |= {"property": name, "method": "given", "threshold": threshold, "fitted": True}
        content |= {"pairs": 0, "held_out": 0, "spearman": 0.0, "slope": 1.0, "needed": 0}
        content["committee"] = ""
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
    """What error bars need of the calibrations that were fitted."""
    return {
        name: Trust(fit.sigma or fit.slope, fit.threshold, fit.atom_sigma)
        for name, fit in calibrations.items()
        if fit.fitted
    }
