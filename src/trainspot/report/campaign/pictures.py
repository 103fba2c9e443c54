"""The figures of a page with their captions and the words that stand in for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainspot.common.text import counted
from trainspot.judge.sizes import MAX_COMMITTEES
from trainspot.report.campaign import figures
from trainspot.report.pages.skeleton import Picture
from trainspot.report.pages.style import SETS, data_uri
from trainspot.report.quantities import QUANTITIES, number

if TYPE_CHECKING:
    from trainspot.report.findings.data import IterationData, ReportData


def rmse(data: ReportData) -> Picture | None:
    """Errors per iteration; ``None`` before the first test."""
    if not any(any((r.get("rmse") or {}).values()) for r in data.records):
        return None
    caption = (
        "Root mean square error of the committee members in each iteration, by set: mean and "
        "standard deviation over the members. The test set grows from iteration to iteration; "
        "the dashed line is the committee's error on the final test frames, the same for all."
    )
    return Picture(data_uri(figures.rmse(data)), caption, _rmse_alt(data))


def _rmse_alt(data: ReportData) -> str:
    parts = []
    for quantity in QUANTITIES:
        for name in (*SETS, "common_test"):
            values = []
            for record in data.records:
                if name == "common_test":
                    value = (record.get("common_test") or {}).get(quantity.key)
                else:
                    found = (record.get("rmse") or {}).get(name) or {}
                    value = (found.get(quantity.key) or {}).get("mean")
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
    clouds = {q: data.clouds(last, q.key) for q in QUANTITIES}
    if not any(clouds.values()):
        return None
    m = len(last.predictions.members)
    caption = (
        f"Predicted against reference values and, below, their difference, for the mean of the "
        f"{m} members of iteration {last.n}. Every point is one component (one energy, one "
        "Cartesian force or stress component). Isolated atoms are left out."
    )
    parts = [
        f"{quantity.title}, {name}: RMSE {quantity.show(cloud.rmse)} over {cloud.frames} frames"
        for quantity, found in clouds.items()
        for name, cloud in found.items()
    ]
    alt = "Scatter plots of predicted against reference values. " + "; ".join(parts) + "."
    return Picture(data_uri(figures.parity(data)), caption, alt)


def calibration(data: ReportData, iteration: IterationData, *, again: bool = False) -> Picture:
    """Disagreement and error of one iteration, which has pairs; ``again``: already explained."""
    caption = (
        f"Error of the committee mean against the disagreement of its members in iteration "
        f"{iteration.n}, one point a frame that no member was trained on. A frame right of the "
        "threshold τ would be flagged; one above the tolerance ε is really wrong. Points in the "
        "shaded corner are missed: wrong, but not flagged. TPR is the share of the wrong frames "
        "that is flagged, PPV the share of the flagged that is wrong, ρ the rank correlation. "
        "Symmetric frames, whose error or disagreement is mere rounding (below a ten-thousandth "
        "of ε), are left out here and of what is fitted."
    )
    if again:
        caption = f"The same for iteration {iteration.n}."
    parts = []
    for quantity in QUANTITIES:
        made = iteration.calibration.get(quantity.key)
        if made is not None:
            slope = f"slope {number(made.slope)}" if made.fitted else "not fitted"
            parts.append(
                f"{quantity.title}: {slope}, threshold {quantity.show(made.threshold)}, "
                f"{made.pairs} pairs, verdict {made.verdict}"
            )
    alt = "Scatter plots of error against disagreement. " + "; ".join(parts or ["not calibrated"])
    return Picture(data_uri(figures.calibration(data, iteration)), caption, alt + ".")


def trust(data: ReportData) -> list[Picture]:
    """What the latest calibration that could be fitted, and all together, say of the judge."""
    fitted = [it for it in data.iterations if any(c.fitted for c in it.calibration.values())]
    if not fitted:
        return []
    last = fitted[-1]
    listed = "; ".join(
        f"{quantity.title}: miscalibration area {number(made.miscalibration)}"
        for quantity in QUANTITIES
        if (made := last.calibration.get(quantity.key)) and made.miscalibration is not None
    )
    found = [
        Picture(
            data_uri(figures.rate_maps(last)),
            f"TPR (above) and PPV (below) of iteration {last.n} for every tolerance ε and every "
            "threshold τ, from its calibration pairs; brighter is better. The dot is what was "
            "used, the white line the calibration: other tolerances would lie on it.",
            "Maps of TPR and PPV over threshold and tolerance; the rates in use are in the table "
            "of calibrations below.",
        ),
        Picture(
            data_uri(figures.coverage(last)),
            f"How honest the error bars of iteration {last.n} are: the share of errors that lie "
            "within bars of every length against the share that normal errors would have. On the "
            "dotted line bars and errors agree. The error of a frame averages over many components "
            "and varies less than a single normal error, so forces and stress rise steeply.",
            f"Curves of observed against expected coverage. {listed}.",
        ),
    ]
    if len(along := figures.mapped(data)) > 1:
        listed = ", ".join(str(one.n) for one in along)
        caption = (
            "The same maps of the forces along the campaign, on common axes. With better "
            "committees the pairs move to smaller errors and disagreements. Grey: no pair is so "
            "large or so small."
        )
        alt = f"Maps of TPR and PPV of the forces for iterations {listed}."
        found.insert(1, Picture(data_uri(figures.force_rate_maps(along)), caption, alt))
    if len(fitted) > 1:
        alt = "Line charts of slope and rank correlation against iteration, as in the table below."
        caption = (
            "Does the calibration drift? Slope with its 95 % interval, and rank correlation ρ, of "
            "every iteration; below the dotted line no threshold is fitted."
        )
        found.append(Picture(data_uri(figures.drift(data)), caption, alt))
    return [*found, *committees(data, last)]


def committees(data: ReportData, last: IterationData) -> list[Picture]:
    """What smaller committees than that of an iteration would do; empty where there are none."""
    if last.predictions is None or len(last.predictions.members) < 3:
        return []
    scores = figures.sizes(data, last)
    if last.pairs is None or not scores:
        return []
    members = len(last.predictions.members)
    caption = (
        "Would fewer members do? The force calibration of every smaller committee that can be "
        f"formed of the {members} members of iteration {last.n}, on the same held-out frames; "
        "the line is their mean."
    )
    total = int(last.pairs.held_out.sum())
    if missing := total - len(scores[0].pairs[0]):
        caption += (
            f" Missing: {missing} of the {counted(total, 'frame')} of its own calibration; audit "
            "frames that went into its training set and frames without its prediction cannot count."
        )
    if any(len(score.pairs) >= MAX_COMMITTEES for score in scores):
        caption += f" Of one size at most {MAX_COMMITTEES} are tried."
    alt = "Rank correlation, TPR and PPV against the number of members."
    found = [Picture(data_uri(figures.committee_sizes(scores)), caption, alt)]
    shown = figures.mapped_sizes(scores)
    if len(shown) > 1:
        caption = (
            "TPR (above) and PPV (below) of the forces by the number of members, on common axes. "
            "Every committee of a size puts in all its pairs, so that the map is that of one drawn "
            "at random. Dots are the thresholds that each of them would use, the white line is the "
            "median of their calibrations. Grey: no pair is so large or so small."
        )
        listed = ", ".join(str(score.size) for score in shown)
        alt = f"Maps of TPR and PPV of the forces for committees of {listed} members."
        found.append(Picture(data_uri(figures.size_rate_maps(shown)), caption, alt))
    return found


def counts(data: ReportData) -> Picture | None:
    """Frames through the steps; ``None`` before the first iteration."""
    if not data.records:
        return None
    caption = (
        "Frames in each step of each iteration. Flagged are frames on which the committee "
        "disagrees beyond a threshold, or that are novel. Selected and audit frames are labelled "
        "at the start of the next iteration."
    )
    alt = "Bar charts of the numbers in the table of iterations below."
    return Picture(data_uri(figures.counts(data)), caption, alt)


def composition(data: ReportData) -> Picture | None:
    """Where the labelled frames come from; ``None`` if there are none."""
    if not data.dataset.is_labelled.any():
        return None
    caption = "Labelled frames of the final dataset by origin and set."
    alt = "Stacked bars of the numbers in the table of origins below."
    return Picture(data_uri(figures.composition(data)), caption, alt)
