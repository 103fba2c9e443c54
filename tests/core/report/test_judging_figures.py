"""Figures about the judge: what they draw is what the science computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from trainspot.judge.calibrate import calibrate
from trainspot.judge.diagnostics import rate_map
from trainspot.judge.pairs import collect_pairs
from trainspot.judge.settings import CalibrateSettings, Tolerance
from trainspot.judge.sizes import MAX_COMMITTEES, by_size
from trainspot.report import figures, pictures
from trainspot.report.data import IterationData, ReportData
from trainspot.report.figures.judging import sizes


@pytest.fixture
def last(campaign):
    return campaign.iterations[-1]


def test_the_maps_are_the_rates(last):
    figure = figures.rate_maps(last)
    panel = next(a for a in figure.axes if a.get_title(loc="left") == "Forces: TPR")
    drawn = panel.collections[0].get_array()
    expected = rate_map(*last.pairs.of("forces")).tpr
    np.testing.assert_allclose(np.ma.filled(drawn, np.nan).reshape(expected.shape), expected)
    (dot,) = [line for line in panel.lines if line.get_marker() == "o"]
    made = last.calibration["forces"]
    assert dot.get_xydata()[0] == pytest.approx([1000 * made.threshold, 1000 * made.tolerance])


def test_the_maps_along_the_campaign_are_those_of_each_iteration(campaign):
    along = figures.mapped(campaign)
    assert [one.n for one in along] == [1, 2, 3]
    figure = figures.force_rate_maps(along)
    for iteration in along:
        found = rate_map(*iteration.pairs.of("forces"))
        made = iteration.calibration["forces"]
        for key in ("tpr", "ppv"):
            title = f"Iteration {iteration.n}: {key.upper()}"
            panel = next(a for a in figure.axes if a.get_title(loc="left") == title)
            drawn = np.ma.filled(panel.collections[0].get_array(), np.nan)
            np.testing.assert_allclose(drawn.reshape(60, 60), getattr(found, key))
            (dot,) = [line for line in panel.lines if line.get_marker() == "o"]
            used = [1000 * made.threshold, 1000 * made.tolerance]
            assert dot.get_xydata()[0] == pytest.approx(used)
            low, high = panel.get_xlim()
            assert low <= 1000 * found.threshold[0] < 1000 * found.threshold[-1] <= high
            low, high = panel.get_ylim()
            assert low <= 1000 * found.tolerance[0] < 1000 * found.tolerance[-1] <= high


def test_of_many_iterations_the_first_and_the_last_are_mapped(campaign, last):
    unfitted = replace(last.calibration["forces"], fitted=False)
    lost = IterationData(99, None, last.pairs, {"forces": unfitted})
    many = [replace(last, n=n) for n in range(1, 10)]
    data = ReportData(campaign.status, campaign.dataset, [*many, lost, IterationData(100)])
    assert [one.n for one in figures.mapped(data)] == [1, 3, 5, 7, 9]
    assert figures.mapped(ReportData(campaign.status, campaign.dataset)) == []


def test_coverage_names_the_area(last):
    texts = [t.get_text() for a in figures.coverage(last).axes for t in a.texts]
    area = f"{last.calibration['forces'].miscalibration:.3f}"
    assert any(area in text for text in texts)


def test_drift_shows_every_slope(campaign):
    figure = figures.drift(campaign)
    panel = next(a for a in figure.axes if a.get_title(loc="left") == "Forces")
    drawn = panel.lines[0].get_ydata()
    fitted = [it.calibration["forces"] for it in campaign.iterations]
    assert list(drawn) == [one.slope for one in fitted if one.interval is not None]


def test_smaller_committees(campaign, last):
    tolerance = Tolerance(energy=None, forces=0.2, stress=None)
    frames = campaign.dataset.labelled()
    scores = by_size(frames, last.predictions, tolerance, CalibrateSettings())
    assert [score.size for score in scores] == [2, 3, 4]
    assert [len(score.calibrations["forces"]) for score in scores] == [6, 4, 1]
    whole = calibrate(collect_pairs(frames, last.predictions), tolerance, CalibrateSettings(), 0)
    assert scores[-1].calibrations["forces"][0] == whole["forces"]
    many = replace(
        last.predictions,
        energy=np.tile(last.predictions.energy, (2, 1)),
        forces=np.tile(last.predictions.forces, (2, 1, 1)),
        stress=np.tile(last.predictions.stress, (2, 1, 1, 1)),
        members=tuple("abcdefgh"),
    )
    found = by_size(frames, many, tolerance, CalibrateSettings())
    assert max(len(score.calibrations["forces"]) for score in found) == MAX_COMMITTEES


@pytest.mark.parametrize("chosen", [{"quantile": 0.9}, {"method": "conformal", "miss_rate": 0.3}])
def test_smaller_committees_are_calibrated_as_the_campaign_is(campaign, last, chosen):
    """The whole committee among them gets the very thresholds of the campaign."""
    frames, settings = campaign.dataset.labelled(), CalibrateSettings(**chosen)
    pairs = collect_pairs(frames.take(frames.n_atoms > 1), last.predictions)
    own = calibrate(pairs, Tolerance(**campaign.tolerance), settings, 0)
    iteration = replace(last, calibration=own)
    known = ReportData({**campaign.status, "calibrate": settings.model_dump()}, campaign.dataset)
    (whole,) = sizes(known, iteration)[-1].calibrations["forces"]
    assert whole == own["forces"]
    (plain,) = sizes(campaign, iteration)[-1].calibrations["forces"]  # its record does not say
    fallback = CalibrateSettings(method=settings.method)
    assert plain == calibrate(pairs, Tolerance(**campaign.tolerance), fallback, 0)["forces"]
    assert plain.threshold != whole.threshold


def test_the_page_takes_them_up(campaign):
    captions = [picture.caption for picture in pictures.trust(campaign)]
    first = [caption.split(" ")[0] for caption in captions]
    assert first == ["TPR", "The", "How", "Does", "Would"]
    single = ReportData(campaign.status, campaign.dataset, campaign.iterations[-1:])
    assert [p.caption.split(" ")[0] for p in pictures.trust(single)] == ["TPR", "How", "Would"]


def test_without_pairs_the_panels_say_so(campaign):
    nothing = IterationData(1)
    for figure in (figures.rate_maps(nothing), figures.coverage(nothing),
                   figures.committee_sizes(campaign, nothing)):  # fmt: skip
        assert all(axes.texts for axes in figure.axes)
