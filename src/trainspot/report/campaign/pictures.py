"""The figures of a page with captions and alternative texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainspot.common.text import counted
from trainspot.data.frames import SPLITS
from trainspot.judge.sizes import MAX_COMMITTEES
from trainspot.report.campaign import figures, judging, progress
from trainspot.report.findings.counts import composition_table
from trainspot.report.pages.bars import by_strategy
from trainspot.report.pages.skeleton import Picture
from trainspot.report.pages.style import data_uri
from trainspot.report.quantities import QUANTITIES, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trainspot.report.campaign.rows import RateColumn
    from trainspot.report.findings.data import IterationData, ReportData


def rmse(data: ReportData) -> Picture | None:
    """Errors per iteration; ``None`` before the first test."""
    if not any(record.rmse for record in data.records):
        return None
    caption = (
        "Root mean square error of the committee members in each iteration, by split: mean and "
        "standard deviation over the members. The number of test frames grows from iteration to "
        "iteration. The dashed line is the error of the committee mean on the final test frames, "
        "which are the same for every iteration."
    )
    return Picture(
        data_uri(figures.rmse(progress.errors(data), _iterations(data))), caption, _rmse_alt(data)
    )


def _rmse_alt(data: ReportData) -> str:
    parts = []
    for quantity in QUANTITIES:
        for name in (*SPLITS, "common_test"):
            values = []
            for record in data.records:
                if name == "common_test":
                    value = (record.common_test or {}).get(quantity.key)
                else:
                    error = record.error(name, quantity.key)
                    value = error.mean if error else None
                if value is not None:
                    values.append(number(value * quantity.scale))
            if values:
                label = name.replace("common_test", "final test frames")
                parts.append(f"{quantity.title}, {label}: {', '.join(values)} {quantity.unit}")
    return "Line charts of RMSE against iteration. " + "; ".join(parts) + "."


def parity(data: ReportData) -> Picture | None:
    """Predictions against references; ``None`` before the first predictions."""
    last = data.last_predictions
    if last is None or last.predictions is None:
        return None
    panels = progress.parity(data)
    if not any(panel.clouds for panel in panels):
        return None
    m = len(last.predictions.members)
    caption = (
        f"Predicted against reference values, and their difference below, for the mean of the "
        f"{m} members of iteration {last.n}. Every point is one component: one energy, or one "
        "Cartesian component of a force or of the stress. Isolated atoms are left out."
    )
    parts = [
        f"{panel.quantity.title}, {name}: RMSE {panel.quantity.show(cloud.rmse)} over "
        f"{cloud.frames} frames"
        for panel in panels
        for name, cloud in panel.clouds.items()
    ]
    alt = "Scatter plots of predicted against reference values. " + "; ".join(parts) + "."
    return Picture(data_uri(figures.parity(panels)), caption, alt)


def calibration(data: ReportData, iteration: IterationData, *, again: bool = False) -> Picture:
    """Disagreement and error of one iteration with pairs; ``again``: with a short caption."""
    caption = (
        f"Error of the committee mean against the disagreement of its members in iteration "
        f"{iteration.n}. Every point is a frame that no member was trained on. A frame to the "
        "right of the threshold τ would be flagged. A frame above the tolerance ε is wrong. Frames "
        "in the shaded corner are missed: they are wrong and not flagged. TPR is the share of the "
        "wrong frames that are flagged, PPV the share of the flagged frames that are wrong, ρ the "
        "rank correlation. Symmetric frames, whose error or disagreement is only rounding (less "
        "than ε/10000), are left out of the figure and of the fit."
    )
    if again:
        caption = f"The same as above for iteration {iteration.n}."
    parts = []
    for quantity in QUANTITIES:
        fit = iteration.calibration.get(quantity.key)
        if fit is not None:
            parts.append(
                f"{quantity.title}: {judging.fit(fit).origin}, threshold "
                f"{quantity.show(fit.threshold)}, {fit.pairs} pairs, verdict {fit.verdict}"
            )
    alt = "Scatter plots of error against disagreement. " + "; ".join(parts or ["not calibrated"])
    return Picture(
        data_uri(figures.calibration(judging.pairs(data, iteration))), caption, alt + "."
    )


def trust(data: ReportData) -> list[Picture]:
    """Quality of the latest fitted calibration, and all calibrations of the campaign."""
    fitted = [it for it in data.iterations if any(c.fitted for c in it.calibration.values())]
    if not fitted:
        return []
    last = fitted[-1]
    listed = "; ".join(
        f"{quantity.title}: miscalibration area {number(fit.miscalibration)}"
        for quantity in QUANTITIES
        if (fit := last.calibration.get(quantity.key)) and fit.miscalibration is not None
    )
    pictures = [
        Picture(
            data_uri(figures.rate_maps(judging.rates_of(last))),
            f"TPR (above) and PPV (below) of iteration {last.n} for every tolerance ε and every "
            "threshold τ, from its calibration pairs. Brighter is better. The dot shows the "
            "tolerance and the threshold of the campaign. The white line is the calibration: it "
            "gives the threshold of any other tolerance.",
            "Maps of TPR and PPV over threshold and tolerance; the table of calibrations below "
            "has the rates of the campaign.",
        ),
        Picture(
            data_uri(figures.coverage(judging.coverage(last))),
            f"Test of the error bars of iteration {last.n}. For bars of every length: the share of "
            "the errors within the bar (vertical) against the share of normally distributed errors "
            "(horizontal). On the dotted line the bars have the right length. The error of a frame "
            "is an average over many components and varies less than a normal error, so the curves "
            "of forces and stress rise steeply.",
            f"Curves of observed against expected coverage. {listed}.",
        ),
    ]
    if len(along := judging.rates_along(data)) > 1:
        caption = (
            "The maps of the forces for several iterations, on common axes. Better committees "
            "have smaller errors and disagreements. Grey: outside the range of the pairs."
        )
        alt = f"Maps of TPR and PPV of the forces: {_titles(along)}."
        pictures.insert(1, Picture(data_uri(figures.side_by_side(along)), caption, alt))
    if len(fitted) > 1:
        alt = "Line charts of slope and rank correlation against iteration, as in the table below."
        caption = (
            "Does the calibration change? Slope with its 95 % interval, and rank correlation ρ, "
            "of every iteration. Below the dotted line no threshold is fitted."
        )
        pictures.append(Picture(data_uri(figures.drift(judging.drift(data))), caption, alt))
    return [*pictures, *committees(data, last)]


def committees(data: ReportData, last: IterationData) -> list[Picture]:
    """Calibrations of smaller committees; empty without smaller committees."""
    if last.predictions is None or len(last.predictions.members) < 3:
        return []
    scores = judging.sizes(data, last)
    if last.pairs is None or not scores:
        return []
    members = len(last.predictions.members)
    caption = (
        "Would fewer members be enough? The force calibration of every smaller committee that "
        f"can be formed of the {members} members of iteration {last.n}, on the same frames "
        "outside the training set. The line is their mean."
    )
    total = int(last.pairs.held_out.sum())
    if missing := total - len(scores[0].pairs[0]):
        caption += (
            f" {missing} of the {counted(total, 'frame')} of its own calibration are missing: "
            "audit frames that are now in its training set, and frames without a prediction."
        )
    if any(len(score.pairs) >= MAX_COMMITTEES for score in scores):
        caption += f" At most {MAX_COMMITTEES} committees of one size are tried."
    alt = "Rank correlation, TPR and PPV against the number of members."
    pictures = [Picture(data_uri(figures.committee_sizes(judging.readings(scores))), caption, alt)]
    shown = judging.rates_by_size(scores)
    if len(shown) > 1:
        caption = (
            "TPR (above) and PPV (below) of the forces by the number of members, on common axes. "
            "A map pools the pairs of all committees of this size: it is the map of a committee "
            "drawn at random. Each dot is the threshold of one committee; the white line is the "
            "median of their calibrations. Grey: outside the range of the pairs."
        )
        alt = f"Maps of TPR and PPV of the forces for committees of {_titles(shown)}."
        pictures.append(Picture(data_uri(figures.side_by_side(shown)), caption, alt))
    return pictures


def counts(data: ReportData) -> Picture | None:
    """Frames in the steps; ``None`` before the first iteration."""
    if not data.records:
        return None
    caption = (
        "Frames in each step of each iteration. A frame is flagged if the disagreement of the "
        "committee exceeds a threshold, or if the frame is novel. Selected and audit frames are "
        "labelled at the start of the next iteration."
    )
    alt = "Bar charts of the numbers in the table of iterations below."
    return Picture(data_uri(figures.counts(progress.steps(data), _iterations(data))), caption, alt)


def composition(data: ReportData) -> Picture | None:
    """Labelled frames by strategy; ``None`` without labelled frames."""
    if not data.dataset.is_labelled.any():
        return None
    caption = "Labelled frames of the final dataset by strategy and split."
    alt = "Stacked bars of the numbers in the table of strategies below."
    return Picture(data_uri(by_strategy(composition_table(data), "Labelled frames")), caption, alt)


def _iterations(data: ReportData) -> list[int]:
    return [record.n for record in data.records]


def _titles(columns: Sequence[RateColumn]) -> str:
    return ", ".join(column.title for column in columns)
