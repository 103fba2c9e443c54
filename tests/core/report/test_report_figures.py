"""Figures hold the numbers of the campaign, with labels and units, and leave matplotlib alone."""

from __future__ import annotations

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest

from trainspot.report.campaign import figures, judging, progress
from trainspot.report.campaign.judging import usable
from trainspot.report.campaign.progress import STEPS
from trainspot.report.findings.counts import composition_table
from trainspot.report.findings.data import IterationData, ReportData
from trainspot.report.pages import style
from trainspot.report.pages.bars import by_strategy
from trainspot.report.pages.style import COLOURS

UNITS = ("meV/atom", "meV/Å", "meV/Å³")


def iterations(data):
    return [record.n for record in data.records]


def rmse(data):
    return figures.rmse(progress.errors(data), iterations(data))


def parity(data):
    return figures.parity(progress.parity(data))


def counts(data):
    return figures.counts(progress.steps(data), iterations(data))


def composition(data):
    return by_strategy(composition_table(data), "Labelled frames")


def calibration(data, iteration):
    return figures.calibration(judging.pairs(data, iteration))


DRAWN = {"rmse": rmse, "parity": parity, "counts": counts, "composition": composition}


def legend_texts(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def panel_texts(axes):
    return " ".join(text.get_text() for text in axes.texts)


def test_rmse_shows_every_set_and_iteration(campaign):
    figure = rmse(campaign)
    assert len(figure.axes) == 3
    for axes, key, unit in zip(figure.axes, ("energy", "forces", "stress"), UNITS, strict=True):
        assert axes.get_ylabel() == f"RMSE ({unit})"
        assert axes.get_xlabel() == "Iteration"
        drawn = {container.get_label(): container[0] for container in axes.containers}
        for name in ("train", "validation", "test"):
            means = [1000 * r["rmse"][name][key]["mean"] for r in campaign.status["iterations"]]
            assert np.allclose(drawn[name].get_ydata(), means)
            assert drawn[name].get_color() == COLOURS[name]
        common = [1000 * record["common_test"][key] for record in campaign.status["iterations"]]
        assert any(np.allclose(line.get_ydata(), common) for line in axes.get_lines()
                   if len(line.get_ydata()) == 3)  # fmt: skip
        level = 1000 * campaign.tolerance[key]
        assert any(np.allclose(line.get_ydata(), level) for line in axes.get_lines())
    assert legend_texts(figure)[:3] == ["train", "validation", "test"]
    assert {"tolerance", "final test frames, committee mean"} <= set(legend_texts(figure))


@pytest.mark.parametrize(("length", "ticks"), [(1, [1]), (3, [1, 2, 3]), (12, [1, 3, 5, 7, 9, 11])])
def test_iterations_are_whole_numbers(campaign, length, ticks):
    records = [{**campaign.status["iterations"][0], "n": n} for n in range(1, length + 1)]
    data = ReportData({"iterations": records}, campaign.dataset)
    assert list(rmse(data).axes[0].get_xticks()) == ticks


def test_rmse_error_bars_are_the_spread_of_the_members(campaign):
    axes = rmse(campaign).axes[1]
    record = campaign.status["iterations"][0]["rmse"]["test"]["forces"]
    container = next(c for c in axes.containers if c.get_label() == "test")
    low, high = container[2][0].get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(1000 * record["std"])


def test_a_failed_first_committee_does_not_flatten_the_rest(campaign):
    records = [dict(record) for record in campaign.status["iterations"]]
    huge = {"test": {"forces": {"mean": 90.0, "std": 1.0}}}
    records[0] = {**records[0], "rmse": huge}
    figure = rmse(ReportData({**campaign.status, "iterations": records}, campaign.dataset))
    assert figure.axes[1].get_yscale() == "log"
    assert figure.axes[0].get_yscale() == "linear"


def test_parity_shows_each_set_once_and_its_error(campaign):
    figure = parity(campaign)
    clouds = campaign.clouds(campaign.iterations[-1], "forces")
    top, bottom = figure.axes[1], figure.axes[4]
    assert top.get_ylabel() == "Predicted (eV/Å)"
    assert bottom.get_xlabel() == "Reference (eV/Å)"
    assert bottom.get_ylabel() == "Error (meV/Å)"
    for panel, values in ((top, lambda c: c.predicted),
                          (bottom, lambda c: 1000 * (c.predicted - c.reference))):  # fmt: skip
        for drawn, cloud in zip(panel.collections, clouds.values(), strict=True):
            assert np.allclose(drawn.get_offsets(), np.c_[cloud.reference, values(cloud)])
    assert top.get_xlim() == top.get_ylim()
    for name, cloud in clouds.items():
        assert f"{name} {1000 * cloud.rmse:.3g}" in panel_texts(top)


def test_calibration_shows_pairs_line_tolerance_threshold_and_rates(campaign):
    iteration = campaign.iterations[-1]
    axes = calibration(campaign, iteration).axes[1]
    made = iteration.calibration["forces"]
    assert made.fitted
    pairs = next(c for c in axes.collections if c.get_label() == "pairs")
    assert np.allclose(pairs.get_offsets(), 1000 * np.c_[iteration.pairs.of("forces")])
    assert axes.get_xlabel() == "Disagreement (meV/Å)"
    assert axes.get_ylabel() == "Error (meV/Å)"
    lines = {line.get_label(): line for line in axes.get_lines()}
    x, y = lines["error = slope × disagreement"].get_data()
    assert np.allclose(y / x, made.slope)
    assert np.allclose(lines["tolerance ε"].get_ydata(), 1000 * made.tolerance)
    assert np.allclose(lines["threshold τ"].get_xdata(), 1000 * made.threshold)
    for part in (f"TPR {made.tpr:.2f}", f"PPV {made.ppv:.2f}", f"{made.pairs} pairs", "good"):
        assert part in panel_texts(axes)


def test_a_symmetric_frame_does_not_stretch_the_axes(campaign):
    """Of a perfect crystal disagreement and error of the forces are rounding."""
    iteration = campaign.iterations[-1]
    pairs = iteration.pairs
    n = len(pairs)
    rows = [*range(n), 0]
    delta, error = (
        {k: v[rows].copy() for k, v in part.items()} for part in (pairs.delta, pairs.error)
    )
    delta["forces"][-1], error["forces"][-1] = 1e-15, 3e-16
    more = replace(pairs, frame_ids=(*pairs.frame_ids, "f" * 64), delta=delta, error=error,
                   held_out=pairs.held_out[rows])  # fmt: skip
    changed = replace(iteration, pairs=more)
    one, other = (calibration(campaign, it).axes[1] for it in (iteration, changed))
    assert other.get_xlim() == one.get_xlim()
    one, other = (figures.rate_maps(judging.rates_of(it)).axes[1] for it in (iteration, changed))
    assert other.get_xlim() == one.get_xlim()
    assert f"{n} pairs" in panel_texts(figures.coverage(judging.coverage(changed)).axes[1])
    rounding = usable(more, "forces", None)  # without a tolerance, of the median
    assert len(rounding[0]) == n


def test_an_unfitted_calibration_draws_no_line(campaign):
    iteration = campaign.iterations[-1]
    poor = replace(iteration.calibration["forces"], fitted=False, verdict="poor", threshold=0.2)
    changed = replace(iteration, calibration={"forces": poor})
    axes = calibration(campaign, changed).axes[1]
    assert "error = slope × disagreement" not in {line.get_label() for line in axes.get_lines()}
    assert "not fitted" in panel_texts(axes)
    assert "poor" in panel_texts(axes)


def test_counts_draw_every_step(campaign):
    figure = counts(campaign)
    keys = ("labelled", "explored", "refused", "flagged", "selected", "audit")
    for axes, key, (title, _) in zip(figure.axes, keys, STEPS, strict=True):
        values = [record[key] for record in campaign.status["iterations"]]
        expected = [sum(v.values()) if isinstance(v, dict) else v for v in values]
        assert [bar.get_height() for bar in axes.patches] == expected
        assert [text.get_text() for text in axes.texts] == [str(v) for v in expected]
        assert axes.get_title(loc="left") == title
        assert axes.get_xlabel() == "Iteration"


def test_composition_adds_up(campaign):
    axes = composition(campaign).axes[0]
    assert sum(bar.get_width() for bar in axes.patches) == len(campaign.dataset)
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["rattle", "md", "strain", "vacancies", "isolated"]


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("data", ["young_campaign", "empty_campaign"])
def test_partial_campaigns_still_draw(name, data, request):
    figure = DRAWN[name](request.getfixturevalue(data))
    assert style.svg(figure).startswith(b"<?xml")


def test_an_iteration_without_pairs_still_draws(campaign):
    figure = calibration(campaign, IterationData(1))
    assert all("no calibration pairs" in panel_texts(axes) for axes in figure.axes)


def test_nothing_global_is_left_behind(campaign):
    before = dict(mpl.rcParams)
    counts(campaign)
    assert dict(mpl.rcParams) == before


def test_equal_data_give_equal_bytes(campaign):
    first, second = (style.svg(composition(campaign)) for _ in range(2))
    assert first == second


def test_nothing_is_clipped(campaign):
    """Every text of every figure lies inside it."""
    drawn = [rmse(campaign), parity(campaign), counts(campaign),
             composition(campaign),
             calibration(campaign, campaign.iterations[0])]  # fmt: skip
    for figure in drawn:
        figure.canvas.draw()
        width, height = figure.canvas.get_width_height()
        for axes in figure.axes:
            labels = [axes.xaxis.label, axes.yaxis.label, axes._left_title, *axes.texts]
            for text in labels:
                box = text.get_window_extent()
                assert 0 <= box.x0 <= box.x1 <= width
                assert -0.5 <= box.y0 <= box.y1 <= height  # sizes of texts are whole pixels
        for legend in figure.legends:
            box = legend.get_window_extent()
            assert 0 <= box.x0 <= box.x1 <= width
            assert box.y1 <= height
