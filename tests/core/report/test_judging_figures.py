"""Figures about the judge: what they draw is what the science computes."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from trainspot.campaign.decisions import NO_PAIRS, thresholds
from trainspot.campaign.rules import Rules
from trainspot.judge.calibrate import calibrate
from trainspot.judge.diagnostics import rate_map
from trainspot.judge.pairs import Pairs, collect_pairs
from trainspot.judge.settings import CalibrateSettings, JudgeSettings, Tolerance
from trainspot.judge.sizes import MAX_COMMITTEES, by_size
from trainspot.report.campaign import figures, pictures
from trainspot.report.campaign.judging import (
    MOST_MAPS,
    coverage,
    drift,
    rates_along,
    rates_by_size,
    rates_of,
    readings,
    sizes,
)
from trainspot.report.findings.data import IterationData, ReportData


@pytest.fixture
def last(campaign):
    return campaign.iterations[-1]


def titles(columns):
    return [column.title for column in columns]


def showing(figure, title, values):
    """The panel of this title, which shows these values."""
    panel = next(axes for axes in figure.axes if axes.get_title(loc="left") == title)
    drawn = np.ma.filled(panel.collections[0].get_array(), np.nan)
    np.testing.assert_allclose(drawn.reshape(60, 60), values)
    return panel


def test_the_maps_are_the_rates(last):
    figure = figures.rate_maps(rates_of(last))
    panel = next(a for a in figure.axes if a.get_title(loc="left") == "Forces: TPR")
    drawn = panel.collections[0].get_array()
    expected = rate_map(*last.pairs.of("forces")).tpr
    np.testing.assert_allclose(np.ma.filled(drawn, np.nan).reshape(expected.shape), expected)
    (dot,) = [line for line in panel.lines if line.get_marker() == "o"]
    made = last.calibration["forces"]
    assert dot.get_xydata()[0] == pytest.approx([1000 * made.threshold, 1000 * made.tolerance])


def test_the_maps_along_the_campaign_are_those_of_each_iteration(campaign):
    along = rates_along(campaign)
    assert titles(along) == ["Iteration 1", "Iteration 2", "Iteration 3"]
    figure = figures.side_by_side(along)
    for iteration in campaign.iterations:
        found = rate_map(*iteration.pairs.of("forces"))
        made = iteration.calibration["forces"]
        for key in ("tpr", "ppv"):
            title = f"Iteration {iteration.n}: {key.upper()}"
            panel = showing(figure, title, getattr(found, key))
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
    assert titles(rates_along(data)) == [f"Iteration {n}" for n in (1, 3, 5, 7, 9)]
    assert rates_along(ReportData(campaign.status, campaign.dataset)) == []


def test_coverage_names_the_area(last):
    texts = [t.get_text() for a in figures.coverage(coverage(last)).axes for t in a.texts]
    area = f"{last.calibration['forces'].miscalibration:.3f}"
    assert any(area in text for text in texts)


def test_drift_shows_every_slope(campaign):
    figure = figures.drift(drift(campaign))
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
    found = by_size(frames, eight(last.predictions), tolerance, CalibrateSettings())
    assert max(len(score.calibrations["forces"]) for score in found) == MAX_COMMITTEES


@pytest.mark.parametrize("chosen", [{"quantile": 0.9}, {"method": "conformal", "miss_rate": 0.3}])
def test_smaller_committees_are_calibrated_as_the_campaign_is(campaign, last, chosen):
    """Without audits, the whole committee among them gets the campaign's own calibration."""
    settings = CalibrateSettings(**chosen)
    rules = Rules(Tolerance(**campaign.tolerance), settings, JudgeSettings(), 0)
    pairs, own = thresholds(campaign.dataset, last.predictions, NO_PAIRS, rules)
    iteration = replace(last, pairs=pairs, calibration=own)
    known = ReportData({**campaign.status, "calibrate": settings.model_dump()}, campaign.dataset)
    whole = sizes(known, iteration)[-1]
    assert whole.pairs[0].frame_ids == pairs.frame_ids
    for key, one in own.items():
        assert whole.calibrations[key] == (one,)
    (plain,) = sizes(campaign, iteration)[-1].calibrations["forces"]  # its record does not say
    fallback = CalibrateSettings(method=settings.method)
    assert plain == calibrate(pairs, rules.tolerance, fallback, 0)["forces"]
    assert plain.threshold != whole.calibrations["forces"][0].threshold


def test_committees_of_all_sizes_are_judged_by_the_campaigns_own_pairs(campaign, last):
    """Of audit frames those that the committee was not trained on, as it predicts them itself."""
    dataset, trained = campaign.dataset, set(campaign.dataset.subset("train").ids)
    validation, test = (dataset.subset(name).ids for name in ("validation", "test"))
    once = [identity for identity in last.pairs.frame_ids if identity in trained]
    assert len(once) == 4  # audit frames, judged by an earlier committee
    scores = sizes(campaign, last)
    for pairs in (pairs for score in scores for pairs in score.pairs):
        assert pairs.held_out.all()
        assert set(pairs.frame_ids) == set(last.pairs.frame_ids) - trained
        assert set(validation) < set(pairs.frame_ids)
        assert len(set(test) & set(pairs.frame_ids)) == 1  # the other test frames do not calibrate
    (whole,) = scores[-1].pairs
    again = collect_pairs(dataset.select(whole.frame_ids), last.predictions)
    np.testing.assert_array_equal(whole.delta["forces"], again.delta["forces"])


def test_frames_labelled_since_then_do_not_count(campaign, last):
    """Held-out frames that a judgement chose are no random ones."""
    first = replace(campaign.iterations[0], predictions=last.predictions)
    assert set(campaign.dataset.subset("validation").ids) > set(first.pairs.frame_ids)
    for score in sizes(campaign, first):
        assert all(pairs.frame_ids == first.pairs.frame_ids for pairs in score.pairs)


def test_frames_without_a_set_or_not_held_out_do_not_count(campaign, last):
    split, held_out = campaign.dataset.column("split").copy(), last.pairs.held_out.copy()
    lost = campaign.dataset.subset("validation").ids[:2]
    split[np.isin(campaign.dataset.column("id"), np.array(lost[:1], dtype="S64"))] = 0
    held_out[last.pairs.frame_ids.index(lost[1])] = False
    dataset = campaign.dataset.with_columns(split=split)
    changed = replace(last, pairs=replace(last.pairs, held_out=held_out))
    (pairs,) = sizes(ReportData(campaign.status, dataset), changed)[-1].pairs
    (before,) = sizes(campaign, last)[-1].pairs
    assert set(before.frame_ids) - set(pairs.frame_ids) == set(lost)


def test_pairs_that_smaller_committees_lack_are_counted(campaign, last):
    tried, _ = pictures.committees(campaign, last)
    assert " 4 of the 27 frames of its own calibration are missing:" in tried.caption
    some = [i for i in last.predictions.ids if i != campaign.dataset.subset("validation").ids[0]]
    fewer = replace(last, predictions=last.predictions.select(some))
    assert " 5 of the 27 frames" in pictures.committees(campaign, fewer)[0].caption
    validation = campaign.dataset.subset("validation")
    whole = replace(last, pairs=collect_pairs(validation, last.predictions))
    assert "are missing" not in pictures.committees(campaign, whole)[0].caption


def test_where_too_few_pairs_are_left_there_are_no_figures(campaign, last):
    ids = [i for i in last.pairs.frame_ids if i not in set(campaign.dataset.subset("train").ids)]
    for count, expected in ((11, 0), (12, 2)):
        few = replace(last, predictions=last.predictions.select(ids[:count]))
        assert len(pictures.committees(campaign, few)) == expected
    assert pictures.committees(campaign, replace(last, pairs=None)) == []


def eight(predictions):
    """A committee of twice as many members."""
    return replace(
        predictions,
        energy=np.tile(predictions.energy, (2, 1)),
        forces=np.tile(predictions.forces, (2, 1, 1)),
        stress=np.tile(predictions.stress, (2, 1, 1, 1)),
        members=tuple("abcdefgh"),
    )


def committee(predictions, rows):
    """Some members of a committee."""
    return replace(
        predictions, energy=predictions.energy[rows], forces=predictions.forces[rows],
        stress=predictions.stress[rows], members=tuple(predictions.members[r] for r in rows),
    )  # fmt: skip


def test_the_maps_of_a_size_hold_the_pairs_of_all_its_committees(campaign, last):
    scores = sizes(campaign, last)
    figure = figures.side_by_side(rates_by_size(scores))
    trained = set(campaign.dataset.subset("train").ids)
    ids = [identity for identity in last.pairs.frame_ids if identity not in trained]
    frames = campaign.dataset.select(ids)
    for score in scores:
        every = [
            collect_pairs(frames, committee(last.predictions, list(rows))).of("forces")
            for rows in combinations(range(4), score.size)
        ]
        found = rate_map(*np.concatenate(every, axis=1))
        made = score.calibrations["forces"]
        for key in ("tpr", "ppv"):
            title = f"{score.size} members: {key.upper()}"
            panel = showing(figure, title, getattr(found, key))
            dots = [line.get_xydata()[0] for line in panel.lines if line.get_marker() == "o"]
            assert np.array(dots) == pytest.approx(
                np.array([[1000 * one.threshold, 1000 * one.tolerance] for one in made])
            )
            (line,) = [line for line in panel.lines if line.get_marker() != "o"]
            x, y = line.get_data()
            assert y / x == pytest.approx(np.median([one.slope for one in made]))
            low, high = panel.get_xlim()
            assert low <= 1000 * found.threshold[0] < 1000 * found.threshold[-1] <= high
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts == ["6 committees", "4 committees", "1 committee"]


def test_of_many_sizes_the_smallest_and_the_largest_are_mapped(campaign, last):
    large = replace(last, predictions=eight(last.predictions))
    scores = sizes(campaign, large)
    assert [score.size for score in scores] == [2, 3, 4, 5, 6, 7, 8]
    shown = rates_by_size(scores)
    assert titles(shown) == [f"{size} members" for size in (2, 4, 5, 6, 8)]
    assert len(shown) == MOST_MAPS
    assert len(figures.side_by_side(shown).axes) == 2 * MOST_MAPS + 1


def test_sizes_without_pairs_or_judged_forces_have_no_map(campaign, last):
    scores = sizes(campaign, last)
    few = [replace(one, pairs=(pairs_of(one.pairs[0], 2),)) for one in scores]
    assert rates_by_size(few) == []
    unjudged = [replace(one, calibrations={}) for one in scores]
    assert rates_by_size(unjudged) == []
    assert rates_by_size([]) == []


def pairs_of(pairs, count):
    """The first held-out pairs alone."""
    rows = np.flatnonzero(pairs.held_out)[:count]
    return Pairs(
        tuple(pairs.frame_ids[row] for row in rows),
        {name: values[rows] for name, values in pairs.delta.items()},
        {name: values[rows] for name, values in pairs.error.items()},
        pairs.held_out[rows],
    )


def test_an_unfitted_size_has_dots_and_no_line(campaign, last):
    (whole,) = sizes(campaign, last)[-1:]
    lost = replace(whole.calibrations["forces"][0], fitted=False)
    shown = rates_by_size([replace(whole, calibrations={"forces": (lost,)})])
    figure = figures.side_by_side(shown)
    assert shown[0].detail == ""  # nothing to tell apart
    assert [line.get_marker() for line in figure.axes[0].lines] == ["o"]


def test_small_committees_have_nothing_to_compare(campaign, last):
    """Two members have no smaller committee, and without predictions nothing can be formed."""
    two = replace(last, predictions=committee(last.predictions, [0, 1]))
    three = replace(last, predictions=committee(last.predictions, [0, 1, 2]))
    for changed, count in ((two, 0), (replace(last, predictions=None), 0), (three, 2)):
        assert len(pictures.committees(campaign, changed)) == count
    large = replace(last, predictions=eight(last.predictions))
    tried, maps = pictures.committees(campaign, large)
    assert tried.caption.endswith("At most 12 committees of one size are tried.")
    assert maps.alt == (
        "Maps of TPR and PPV of the forces for committees of 2 members, 4 members, "
        "5 members, 6 members, 8 members."
    )


def test_the_page_takes_them_up(campaign):
    captions = [picture.caption for picture in pictures.trust(campaign)]
    first = [caption.split(" ")[0] for caption in captions]
    assert first == ["TPR", "The", "Test", "Does", "Would", "TPR"]
    single = ReportData(campaign.status, campaign.dataset, campaign.iterations[-1:])
    assert [p.caption.split(" ")[0] for p in pictures.trust(single)] == [
        "TPR", "Test", "Would", "TPR"
    ]  # fmt: skip


def test_without_pairs_the_panels_say_so(campaign):
    nothing = IterationData(1)
    for figure in (figures.rate_maps(rates_of(nothing)), figures.coverage(coverage(nothing)),
                   figures.committee_sizes(readings(sizes(campaign, nothing)))):  # fmt: skip
        assert all(axes.texts for axes in figure.axes)
