"""Data of the figures of a campaign: arrays and numbers in eV and Å."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from trainspot.report.findings.cloud import Cloud
    from trainspot.report.quantities import Quantity

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """Errors along the iterations.

    Attributes:
        n: Iterations, (k,).
        value: Error in each iteration, (k,).
        spread: Standard deviation over the members, (k,); zero if unknown.
    """

    n: Floats
    value: Floats
    spread: Floats


@dataclass(frozen=True, slots=True)
class ErrorPanel:
    """Errors of one property.

    Attributes:
        quantity: The property.
        splits: Split → mean error of the members; splits without an error are left out.
        common: Error of the committee mean on the final test frames; ``None`` if not computed.
        tolerance: Of the user; ``None`` if the property is not judged.
    """

    quantity: Quantity
    splits: Mapping[str, Line]
    common: Line | None
    tolerance: float | None


@dataclass(frozen=True, slots=True)
class ParityPanel:
    """Predictions of one property.

    Attributes:
        quantity: The property.
        clouds: Clouds by split; empty without predictions of labelled frames.
    """

    quantity: Quantity
    clouds: Mapping[str, Cloud]


@dataclass(frozen=True, slots=True)
class Step:
    """A step that frames go through in every iteration.

    Attributes:
        title: Name of the step.
        counts: Iteration → frames, without iterations that have no count.
    """

    title: str
    counts: Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Fit:
    """The values of a calibration that a figure shows.

    Attributes:
        slope: Error per disagreement.
        fitted: Whether a threshold was fitted.
        origin: The slope, or what stands in for a fit, in words.
        threshold: τ.
        tolerance: ε.
        pairs: Number of pairs in the fit.
        verdict: ``good``, ``poor`` or ``undetermined``.
        rates: Names and values of the rates that could be computed: TPR, PPV, ρ.
    """

    slope: float
    fitted: bool
    origin: str
    threshold: float
    tolerance: float
    pairs: int
    verdict: str
    rates: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PairsPanel:
    """Disagreement and error of one property.

    Attributes:
        quantity: The property.
        delta: Disagreement of each pair, (k,), positive.
        error: Error of each pair, (k,), positive.
        fit: The calibration, or ``None``.
        tolerance: Of the user; ``None`` if the property is not judged.
    """

    quantity: Quantity
    delta: Floats
    error: Floats
    fit: Fit | None
    tolerance: float | None


@dataclass(frozen=True, slots=True)
class Rates:
    """TPR and PPV over tolerances and thresholds.

    Attributes:
        tolerance: ε, (m,).
        threshold: τ, (k,).
        tpr: (m, k); not a number where no error exceeds ε.
        ppv: (m, k); not a number where no disagreement exceeds τ.
    """

    tolerance: Floats
    threshold: Floats
    tpr: Floats
    ppv: Floats


@dataclass(frozen=True, slots=True)
class RateColumn:
    """The maps of TPR and PPV of one property, of one iteration or committee size.

    Attributes:
        quantity: The property.
        title: Iteration or committee size; the name of the rate follows.
        detail: A line under the title, or empty.
        rates: The maps; ``None`` if there are too few pairs.
        fits: Calibrations of these pairs, or of parts of these pairs.
        slope: Median slope of the fitted calibrations; ``None`` without a fit.
    """

    quantity: Quantity
    title: str
    detail: str
    rates: Rates | None
    fits: Sequence[Fit]
    slope: float | None


@dataclass(frozen=True, slots=True)
class CoveragePanel:
    """Share of errors within error bars of every length.

    Attributes:
        quantity: The property.
        expected: Share of normal errors within the bar, (k,); empty without error bars.
        observed: Share of the errors, (k,).
        area: Area between the two curves; ``None`` if not computed.
        pairs: Number of errors.
    """

    quantity: Quantity
    expected: Floats
    observed: Floats
    area: float | None
    pairs: int


@dataclass(frozen=True, slots=True)
class DriftPanel:
    """The calibrations of one property along the iterations.

    Attributes:
        quantity: The property.
        iterations: All iterations with a calibration of the property.
        n: Iterations with a fitted calibration, (k,).
        slope: Slopes, (k,).
        low: Lower ends of the intervals of the slopes, (k,).
        high: Upper ends of the intervals, (k,).
        spearman: Rank correlations, (k,).
    """

    quantity: Quantity
    iterations: Sequence[int]
    n: Floats
    slope: Floats
    low: Floats
    high: Floats
    spearman: Floats


@dataclass(frozen=True, slots=True)
class SizePanel:
    """One reading of the force calibrations of smaller committees.

    Attributes:
        title: Name of the reading.
        values: Number of members → reading of each committee of this size.
        means: Number of members → mean of the readings.
    """

    title: str
    values: Mapping[int, Sequence[float]]
    means: Mapping[int, float]
