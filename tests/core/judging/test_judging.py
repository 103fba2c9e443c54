"""Screen, flags, audit, selection and the reasons for them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainspot.cli._summaries import of_judgement
from trainspot.cli._why import sentence
from trainspot.common.errors import DataError, InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Origin
from trainspot.judge import Judgement, State, judge
from trainspot.judge.decision import Contact, FrameDecision, Kind, Method, Twin, Way
from trainspot.judge.draws import audit_size
from trainspot.judge.screen import screen
from trainspot.judge.select import Judged, draw
from trainspot.judge.select.random import RandomSelection
from trainspot.judge.settings import JudgeSettings, ScreenSettings, SelectSettings, StopSettings
from trainspot.predictions.calibration import Calibration

NO_STARTS = Dataset.from_frames([])
LIMITS = ScreenSettings()


def thresholds(**values):
    return {name: Calibration.given(name, value) for name, value in values.items()}


def unfitted(**values):
    return {
        name: replace(Calibration.given(name, value), fitted=False, basis="no pairs")
        for name, value in values.items()
    }


@pytest.fixture(scope="module")
def explored(make_dataset):
    return make_dataset(40, seed=3)


@pytest.fixture(scope="module")
def predictions(explored, predict):
    """Ten frames that the committee disagrees on, thirty that it does not."""
    noise = np.where(np.arange(40) % 4 == 0, 1.0, 0.01)
    return predict(explored, noise=noise)


def decide(explored, predictions, known=(), calibrations=None, iteration=1, seed=7, **options):
    """Judged as in the paper; what needs descriptors has a file of its own."""
    stop = options.pop("stop", StopSettings())
    options = {"method": "random", "novelty": None, "near_duplicate": 0.0, "share": 1.0} | options
    return judge(
        explored,
        predictions,
        calibrations or thresholds(forces=0.2),
        explored.select(known),
        JudgeSettings(select=SelectSettings(**options), stop=stop),
        iteration=iteration,
        seed=seed,
        starts=NO_STARTS,
    )


# ── batches ───────────────────────────────────────────────────────────────────
def test_a_share_of_the_explored_frames_bounds_the_batch(explored, predict):
    noisy = predict(explored, noise=1.0)
    whole = decide(explored, noisy)
    assert len(whole.chosen) == 40
    found = decide(explored, noisy, share=0.4)
    assert len(found.chosen) == 16
    assert found.chosen == decide(explored, noisy, max_frames=16).chosen
    assert len(decide(explored, noisy, share=0.4, max_frames=7).chosen) == 7
    assert len(decide(explored, noisy, share=0.05).chosen) == 10  # fewer would teach too little


def test_the_share_is_one_of_the_valid_frames(explored, predict):
    noisy = predict(explored, noise=1.0)
    known = explored.ids[:10]
    assert len(decide(explored, noisy, known, share=0.5).chosen) == 15


# ── screen ────────────────────────────────────────────────────────────────────
def crystal(scale=1.0, parent="", shift=0.0):
    positions = np.array([[0, 0, 0], [1.36, 1.36, 1.36]]) * scale
    positions[1] += shift
    cell = 2.72 * scale * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0.0]])
    origin = Origin(strategy="md", parent=parent)
    return Frame.make([14, 14], positions, cell, True, origin=origin)


def test_screen_refuses_each_kind_once(predict):
    start = crystal()
    frames = {
        "good": crystal(1.01, start.id),
        "overlap": crystal(1.02, start.id, shift=-1.2),
        "volume": crystal(2.0, start.id),
        "force": crystal(1.03, start.id),
        "non_finite": crystal(1.04, start.id),
        "orphan": crystal(2.1, "f" * 64),
    }
    dataset = Dataset.from_frames(list(frames.values()))
    p = predict(dataset)
    forces = p.forces.copy()
    forces[:, 6, 0] += 60.0
    forces[2, 8, 1] = np.nan
    found = screen(
        dataset, Dataset.from_frames([start]), replace(p, forces=forces), ScreenSettings()
    )
    assert found.kept == (frames["good"].id, frames["orphan"].id)
    assert found.refused == {"force": 1, "non_finite": 1, "overlap": 1, "volume": 1}
    told = {name: found.decisions.get(frame.id) for name, frame in frames.items()}
    assert told["good"] is told["orphan"] is None
    assert all(told[cause].cause == cause for cause in found.refused)
    assert told["volume"].value == pytest.approx(8.0)
    assert told["volume"].limit == LIMITS.max_volume
    assert told["overlap"].contact == Contact((0, 1), ("Si", "Si"))
    assert told["overlap"].value < told["overlap"].limit == pytest.approx(2 * 0.4 * 1.11)
    assert told["force"].value > told["force"].limit == 50
    assert told["non_finite"].value is None
    assert "8 times that of the start" in sentence(told["volume"])
    assert "apart" in sentence(told["overlap"])
    assert "exceeds 50 eV/Å" in sentence(told["force"])
    assert sentence(told["non_finite"]) == "refused: a prediction is not finite"


@pytest.mark.parametrize(
    ("scale", "kept"), [(0.7, True), (0.66, False), (1.7, True), (1.72, False)]
)
def test_volume_limits(scale, kept):
    start = crystal(1.0)
    dataset = Dataset.from_frames([crystal(scale, start.id)])
    found = screen(dataset, Dataset.from_frames([start]), None, ScreenSettings(overlap=0.0))
    assert bool(found.kept) is kept


def test_screen_without_predictions_looks_at_the_geometry():
    dataset = Dataset.from_frames([crystal(), crystal(shift=-1.3)])
    assert screen(dataset, NO_STARTS, None, LIMITS).refused == {"overlap": 1}


def test_screen_limits_are_the_users():
    squeezed = Dataset.from_frames([crystal(shift=-0.5)])
    by_distance = {"overlap_floor": 1.0}
    assert screen(squeezed, NO_STARTS, None, ScreenSettings(overlap=0.6, **by_distance)).kept
    assert not screen(squeezed, NO_STARTS, None, ScreenSettings(overlap=0.8, **by_distance)).kept


# ── flags ─────────────────────────────────────────────────────────────────────
def test_flagged_are_those_beyond_the_threshold(explored, predictions):
    found = decide(explored, predictions)
    expected = {i for row, i in enumerate(explored.ids) if row % 4 == 0}
    assert set(found.flagged) == expected
    assert found.verdict is State.CONTINUE
    assert (found.explored, found.valid, found.duplicates) == (40, 40, 0)
    assert set(found.selected) <= expected
    assert found.fallback is False


def test_any_property_flags(explored, predictions):
    alone = decide(explored, predictions, calibrations=thresholds(forces=1e9, energy=0.3))
    assert 0 < len(alone.flagged) <= 10
    none = decide(explored, predictions, calibrations=thresholds(forces=1e9, energy=1e9))
    assert not none.flagged


def test_something_is_decided_about_every_explored_frame(explored, predictions):
    found = decide(explored, predictions, known=explored.ids[:3])
    assert set(found.decisions) == set(explored.ids)
    assert found.decisions[explored.ids[0]] == FrameDecision(Kind.KNOWN)
    assert sentence(found.decisions[explored.ids[0]]) == "known already"
    for identity in found.selected:
        one = found.decisions[identity]
        assert (one.kind, one.cause, one.limit) == (Kind.SELECTED, "forces", 0.2)
        assert one.exceeds
        delta = predictions.select([identity]).disagreement()["forces"][0]
        assert one.value == pytest.approx(delta)
        assert sentence(one).startswith("selected: disagreement on forces of ")
        assert "exceeds the threshold of 0.2 eV/Å" in sentence(one)
    quiet = next(i for i in explored.ids[3:] if i not in found.flagged and i not in found.audit)
    assert found.decisions[quiet].kind is Kind.PASSED_OVER
    assert not found.decisions[quiet].exceeds
    assert "not selected: " in sentence(found.decisions[quiet])
    assert "is within" in sentence(found.decisions[quiet])


# ── selection and audit ───────────────────────────────────────────────────────
@given(seed=st.integers(0, 10**6), max_frames=st.integers(1, 60), audit=st.integers(0, 20))
@settings(max_examples=40, deadline=None)
def test_budget_and_disjointness(explored, predictions, seed, max_frames, audit):
    found = decide(explored, predictions, seed=seed, max_frames=max_frames, audit=audit)
    assert len(found.chosen) <= max_frames
    assert len(set(found.chosen)) == len(found.chosen)
    assert len(found.audit) == min(audit, max_frames - 1, 40)
    assert set(found.chosen) <= set(explored.ids)
    rest = set(found.flagged) - set(found.audit)
    assert len(found.selected) == min(max_frames - len(found.audit), len(rest))


@given(order=st.permutations(range(40)))
@settings(max_examples=15, deadline=None)
def test_choice_does_not_depend_on_the_order_of_frames(explored, predictions, order):
    one = decide(explored, predictions, max_frames=6)
    other = decide(explored.take(order), predictions, max_frames=6)
    assert one == other


def test_seed_and_iteration_make_the_draws(explored, predictions):
    first = decide(explored, predictions, max_frames=6)
    assert first == decide(explored, predictions, max_frames=6)
    assert first.chosen != decide(explored, predictions, max_frames=6, seed=8).chosen
    assert first.chosen != decide(explored, predictions, max_frames=6, iteration=2).chosen


def test_audit_is_uniform_over_all_valid_frames(explored, predictions):
    """Flagged frames are a quarter of the audit, as of the valid frames: nothing is favoured."""
    drawn = [
        i
        for seed in range(80)
        for i in decide(explored, predictions, seed=seed, max_frames=12, audit=10).audit
    ]
    flagged = set(decide(explored, predictions).flagged)
    share = np.mean([i in flagged for i in drawn])
    assert share == pytest.approx(0.25, abs=0.04)
    assert len(set(drawn)) == 40


@pytest.mark.parametrize(
    ("audit", "max_frames", "flagged", "size"),
    [
        ("auto", 1000, 0, 0),
        ("auto", 1000, 1, 1),
        ("auto", 1000, 21, 5),
        ("auto", 1000, 900, 25),
        ("auto", 12, 900, 3),
        ("auto", 1, 900, 0),  # the last label of a budget teaches
        (0, 1000, 900, 0),
        (40, 1000, 3, 40),
        (40, 10, 3, 9),
    ],
)
def test_audit_size(audit, max_frames, flagged, size):
    assert audit_size(SelectSettings(audit=audit, max_frames=max_frames), flagged) == size


def test_known_frames_are_never_selected(explored, predictions):
    known = explored.ids[:30]
    found = decide(explored, predictions, known=known, audit=5)
    assert not set(found.chosen) & set(known)
    assert (found.duplicates, found.valid) == (30, 10)


def test_frames_met_twice_are_counted_once(explored, predictions):
    twice = Dataset.concatenate([explored, explored.take([0, 4])])
    found = decide(twice, predictions)
    assert (found.explored, found.duplicates, found.valid) == (42, 2, 40)
    assert found.flagged == decide(explored, predictions).flagged


def test_without_a_fitted_threshold_the_choice_is_random_among_all(explored, predictions):
    drawn, flagged = [], set()
    for seed in range(40):
        found = decide(
            explored,
            predictions,
            calibrations=unfitted(forces=0.2),
            seed=seed,
            max_frames=8,
            audit=0,
        )
        assert found.fallback
        drawn += found.selected
        flagged = set(found.flagged)
    share = np.mean([i in flagged for i in drawn])
    assert len(flagged) == 10
    assert share == pytest.approx(0.25, abs=0.08)


def test_nan_predictions_are_refused_not_flagged(explored, predictions):
    energy = predictions.energy.copy()
    energy[1, :8] = np.nan
    found = decide(explored, replace(predictions, energy=energy), audit=10)
    assert found.refused == {"non_finite": 8}
    assert not set(explored.ids[:8]) & {*found.chosen, *found.flagged}


def test_no_valid_frame_is_an_error_not_convergence(explored, predictions):
    nothing = replace(predictions, energy=np.full_like(predictions.energy, np.nan))
    found = decide(explored, nothing)
    assert found.verdict is State.NO_VALID_EXPLORATION
    assert not found.chosen
    nothing_new = decide(explored, predictions, known=explored.ids)
    assert nothing_new.verdict is State.NO_VALID_EXPLORATION
    empty = decide(explored[:0], predictions)
    assert empty.verdict is State.NO_VALID_EXPLORATION


def test_quiet_exploration_is_audited(explored, predictions):
    found = decide(explored, predictions, calibrations=thresholds(forces=100.0))
    assert found.verdict is State.AUDIT
    assert (len(found.audit), found.selected) == (20, ())
    loud = decide(
        explored,
        predictions,
        stop=StopSettings(converged_share=0.3, final_audit=50),
    )
    assert loud.verdict is State.AUDIT
    assert set(loud.audit) == set(explored.ids) - set(loud.flagged)


def test_the_last_iteration_selects_nothing(explored, predictions):
    found = decide(explored, predictions, iteration=10)
    assert found.verdict is State.EXHAUSTED
    assert not found.chosen
    assert len(found.flagged) == 10


def test_too_few_valid_frames_still_teach(explored, predictions):
    """Quiet, but most frames were refused: not converged, and some valid frames are labelled."""
    energy = predictions.energy.copy()
    energy[0, :30] = np.nan
    found = decide(
        explored,
        replace(predictions, energy=energy),
        calibrations=thresholds(forces=100.0),
        max_frames=4,
    )
    assert found.verdict is State.CONTINUE
    assert len(found.chosen) == 4


def test_missing_predictions_are_said(explored, predictions):
    with pytest.raises(InputError, match="evaluate the committee"):
        decide(explored, predictions.take(range(10)))


def test_no_frame_is_outnumbered_when_the_budget_is_spent(explored, predictions):
    paid = decide(explored, predictions, max_frames=4, audit=1)
    ways = [one.method.way for one in paid.decisions.values() if one.method]
    assert {Way.STRATEGY, Way.AUDIT, Way.OUTNUMBERED} == set(ways)
    unpaid = paid.without_budget()
    assert not unpaid.chosen
    told = [one.method for one in unpaid.decisions.values() if one.method]
    assert told == [Method(Way.BUDGET_SPENT)] * len(ways)
    assert {one.kind for one in unpaid.decisions.values()} == {Kind.PASSED_OVER}


def test_a_near_duplicate_keeps_its_reason_when_the_budget_is_spent(explored, predictions):
    paid = decide(explored, predictions, max_frames=4, audit=1)
    identity = next(i for i, one in paid.decisions.items() if one.method is None)
    twin = Method(Way.NEAR_DUPLICATE, twin=Twin("known", is_known=True))
    repeated = replace(paid.decisions[identity], method=twin)
    judgement = replace(paid, decisions={**paid.decisions, identity: repeated})
    assert judgement.without_budget().decisions[identity] == repeated


def test_json_round_trip(explored, predictions):
    found = decide(explored, predictions)
    assert Judgement.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    with pytest.raises(DataError):
        Judgement.from_dict({"verdict": "continue"})
    with pytest.raises(DataError):
        Judgement.from_dict(found.to_dict() | {"verdict": "tired"})
    assert "10 flagged" in of_judgement(found)


def test_random_selection(explored, rng):
    judged = Judged(explored, np.ones(40))
    chosen = RandomSelection().select(judged, 10, rng)
    assert len(set(chosen)) == 10
    assert set(chosen) <= set(explored.ids)
    assert set(RandomSelection().select(judged, 99, rng)) == set(explored.ids)
    assert draw([], 5, rng) == []
