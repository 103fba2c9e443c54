"""How far the judge can be trusted: coverage, drift, committee size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainspot.judge.calibrate import pairs_needed
from trainspot.judge.diagnostics import coverage_curve
from trainspot.judge.settings import Tolerance
from trainspot.judge.sizes import SizeScore, by_size, comparable
from trainspot.report.pages.panels import absent, iteration_axis, subtitle, usable
from trainspot.report.pages.style import GREY, LINE, new, styled
from trainspot.report.quantities import QUANTITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from trainspot.judge.calibrate import Calibration
    from trainspot.report.findings.data import IterationData, ReportData


@styled
def coverage(iteration: IterationData) -> Figure:
    """Observed against expected coverage of the error bars."""
    figure = new(3.5)
    for axes, quantity in zip(figure.subplots(1, 3), QUANTITIES, strict=True):
        made = iteration.calibration.get(quantity.key)
        delta, error = usable(iteration.pairs, quantity, made.tolerance if made else None)
        axes.set_title(quantity.title)
        if made is None or made.sigma is None or not len(delta):
            absent(axes, "no error bars")
            continue
        expected, observed = coverage_curve(delta, error, made.sigma)
        axes.plot([0, 1], [0, 1], color=GREY, lw=1.0, ls=":")
        axes.fill_between(expected, expected, observed, color=LINE, alpha=0.18, lw=0)
        axes.plot(expected, observed, color=LINE, lw=1.8)
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Expected share of errors within the bar")
        axes.set_ylabel("Observed share")
        axes.set_box_aspect(1)
        area = "–" if made.miscalibration is None else f"{made.miscalibration:.3f}"
        subtitle(axes, quantity.title, f"miscalibration area {area} · {len(delta)} pairs")
    return figure


@styled
def drift(data: ReportData) -> Figure:
    """Slope with its interval and rank correlation of every calibration, along iterations."""
    figure = new(3.9)
    grid = figure.subplots(2, 3, sharex=True)
    for column, quantity in enumerate(QUANTITIES):
        top, bottom = grid[:, column]
        top.set_title(quantity.title)
        made = [(it.n, it.calibration[quantity.key]) for it in data.iterations
                if quantity.key in it.calibration]  # fmt: skip
        fitted = [(n, one) for n, one in made if one.interval is not None]
        if not fitted:
            absent(top, "nothing fitted")
            bottom.set_axis_off()
            continue
        _drift_panels(top, bottom, fitted)
        iteration_axis(top, [{"n": n} for n, _ in made])
        bottom.set_xlabel("Iteration")
    grid[0, 0].set_ylabel("Slope e/Δ")
    grid[1, 0].set_ylabel("Rank correlation ρ")
    return figure


def _drift_panels(top: Axes, bottom: Axes, fitted: Sequence[tuple[int, Calibration]]) -> None:
    n = [number_ for number_, _ in fitted]
    slope = np.array([one.slope for _, one in fitted])
    ends = np.array([one.interval for _, one in fitted], dtype=float).T
    bars = np.abs(ends - slope)
    top.errorbar(n, slope, bars, color=LINE, marker="o", ms=5, lw=1.4)
    top.set_ylim(0, 1.15 * float(ends.max()))
    bottom.plot(n, [one.spearman for _, one in fitted], color=LINE, marker="o", ms=5, lw=1.4)
    bottom.axhline(0.3, color=GREY, ls=":", lw=1.2)
    bottom.set_ylim(min(0.0, *(one.spearman for _, one in fitted)) - 0.05, 1.05)


@styled
def committee_sizes(scores: Sequence[SizeScore]) -> Figure:
    """Rank correlation, TPR and PPV of the force calibration against the number of members.

    Args:
        scores: As ``sizes`` makes them.
    """
    figure = new(2.9)
    readings: tuple[tuple[str, Callable[[Calibration], float | None]], ...] = (
        ("Rank correlation ρ", lambda one: one.spearman),
        ("TPR", lambda one: one.tpr),
        ("PPV", lambda one: one.ppv),
    )
    for axes, (title, reading) in zip(figure.subplots(1, 3), readings, strict=True):
        axes.set_title(title)
        rows = [
            (score.size, [v for one in score.calibrations["forces"]
                          if (v := reading(one)) is not None])
            for score in scores if "forces" in score.calibrations
        ]  # fmt: skip
        rows = [(size, values) for size, values in rows if values]
        if not rows:
            absent(axes, "no committees to compare")
            continue
        for size, values in rows:
            axes.scatter([size] * len(values), values, s=14, color=LINE, alpha=0.45, lw=0)
        axes.plot([s for s, _ in rows], [np.mean(v) for _, v in rows], color=LINE, marker="o", ms=6)
        axes.set(xlabel="Members", ylim=(-0.03, 1.05))
        axes.set_xticks([size for size, _ in rows])
    return figure


def sizes(data: ReportData, iteration: IterationData) -> list[SizeScore]:
    """The calibrations of smaller committees on the frames that an iteration was calibrated with.

    They are fitted as the campaign fits its own, to the pairs that ``comparable`` leaves. Before
    the first audit those of the whole committee are the campaign's own, but for the bootstrap's
    seed; later, audit frames count as this committee predicts them, if it was not trained on them.

    Returns:
        By size; empty if too few pairs are left to fit a threshold.
    """
    pairs, predictions = iteration.pairs, iteration.predictions
    if pairs is None or predictions is None or "forces" not in iteration.calibration:
        return []
    known = {key: made.tolerance for key, made in iteration.calibration.items()}
    tolerance = Tolerance(**{key: known.get(key) for key in ("energy", "forces", "stress")})
    method = iteration.calibration["forces"].method  # known even where the settings are not
    settings = data.calibrate.model_copy(update={"method": method})
    frames = comparable(data.dataset, pairs, predictions)
    if len(frames) < pairs_needed(settings):
        return []
    return by_size(frames, predictions, tolerance, settings)
