"""The stopping rules, as a table of what is known and what follows."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from trainspot.judge import State, conclude
from trainspot.judge.pairs import Pairs
from trainspot.judge.settings import (
    CalibrateSettings,
    JudgeSettings,
    ScreenSettings,
    SelectSettings,
    StopSettings,
    Tolerance,
)
from trainspot.judge.verdict import misses, verdict


@pytest.mark.parametrize(
    ("valid", "flagged", "fitted", "iteration", "stop", "state"),
    [
        (100, 5, True, 1, {}, State.CONTINUE),
        (100, 5, False, 1, {}, State.CONTINUE),
        (100, 5, True, 10, {}, State.EXHAUSTED),
        (100, 0, True, 1, {}, State.AUDIT),
        (100, 0, False, 1, {}, State.AUDIT),
        (100, 0, True, 10, {}, State.AUDIT),
        (100, 0, True, 1, {"final_audit": 0}, State.CONVERGED),
        (100, 0, True, 10, {"final_audit": 0}, State.CONVERGED),
        (100, 0, False, 1, {"final_audit": 0}, State.CONTINUE),
        (100, 0, False, 10, {"final_audit": 0}, State.EXHAUSTED),
        (100, 5, True, 1, {"converged_share": 0.05}, State.AUDIT),
        (100, 6, True, 1, {"converged_share": 0.05}, State.CONTINUE),
        (100, 100, True, 1, {"converged_share": 1.0}, State.CONTINUE),
        (49, 0, True, 1, {}, State.CONTINUE),
        (50, 0, True, 1, {}, State.AUDIT),
        (49, 0, True, 10, {"final_audit": 0}, State.EXHAUSTED),
        (0, 0, True, 1, {}, State.NO_VALID_EXPLORATION),
        (0, 0, True, 10, {"final_audit": 0}, State.NO_VALID_EXPLORATION),
        (100, 5, True, 1, {"max_iterations": 1}, State.EXHAUSTED),
    ],
)
def test_verdict(valid, flagged, fitted, iteration, stop, state):
    found = verdict(
        explored=100,
        valid=valid,
        flagged=flagged,
        fitted=fitted,
        iteration=iteration,
        settings=StopSettings(**stop),
    )
    assert found is state


def audit(errors, stress=None):
    n = len(errors)
    zero = np.zeros(n)
    return Pairs(
        tuple(f"{k:064d}" for k in range(n)),
        dict.fromkeys(("energy", "forces", "stress"), zero),
        {
            "energy": zero,
            "forces": np.array(errors, dtype=float),
            "stress": np.full(n, np.nan) if stress is None else np.array(stress),
        },
        np.ones(n, dtype=bool),
    )


@pytest.mark.parametrize(
    ("n_wrong", "iteration", "state"),
    [
        (0, 1, State.CONVERGED),
        (2, 1, State.CONVERGED),
        (3, 1, State.CONTINUE),
        (3, 10, State.EXHAUSTED),
        (2, 10, State.CONVERGED),
    ],
)
def test_conclusion_of_a_final_audit(n_wrong, iteration, state):
    """Twenty frames with a miss rate of 0.1: two misses are within it, three are not."""
    pairs = audit([0.5] * n_wrong + [0.05] * (20 - n_wrong))
    found = conclude(pairs, Tolerance(), iteration=iteration, settings=StopSettings())
    assert found is state


def test_an_audit_without_labels_confirms_nothing():
    assert conclude(audit([]), Tolerance(), iteration=1, settings=StopSettings()) is State.CONTINUE


def test_misses_count_frames_not_properties():
    pairs = audit([0.5, 0.01, 0.5], stress=[1.0, 1.0, 0.0])
    assert misses(pairs, Tolerance()) == 3
    assert misses(pairs, Tolerance(stress=None)) == 2
    assert misses(audit([np.inf]), Tolerance()) == 1


# ── settings ──────────────────────────────────────────────────────────────────
def test_defaults_are_the_documented_ones():
    assert Tolerance().given == {"energy": 0.001, "forces": 0.1, "stress": 0.001}
    made = CalibrateSettings()
    assert (made.method, made.quantile, made.miss_rate) == ("quantile", 0.67, 0.1)
    assert (SelectSettings().max_frames, SelectSettings().share) == (1000, 0.33)
    assert StopSettings().max_iterations == 10
    assert StopSettings().final_audit == 20
    screen = ScreenSettings()
    limits = (screen.overlap, screen.max_force, screen.min_volume, screen.max_volume)
    assert limits == (0.6, 50.0, 0.3, 5.0)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Tolerance, {"forces": -0.1}),
        (Tolerance, {"forces": 0.0}),
        (Tolerance, {"forces": float("nan")}),
        (Tolerance, {"energy": None, "forces": None, "stress": None}),
        (Tolerance, {"force": 0.1}),
        (CalibrateSettings, {"quantile": 1.0}),
        (SelectSettings, {"max_frames": 0}),
        (SelectSettings, {"audit": -1}),
        (SelectSettings, {"audit": "some"}),
        (SelectSettings, {"novelty": 1.0}),
        (SelectSettings, {"near_duplicate": -0.1}),
        (SelectSettings, {"descriptor": {"cutoff": 0.0}}),
        (StopSettings, {"max_iterations": 0}),
        (StopSettings, {"miss_rate": 1.5}),
        (ScreenSettings, {"max_volume": 0.5}),
        (JudgeSettings, {"stop": {"final_audit": -1}}),
    ],
)
def test_bounds(model, values):
    with pytest.raises(ValidationError):
        model(**values)


@pytest.mark.parametrize(
    "model", [Tolerance, CalibrateSettings, SelectSettings, ScreenSettings, StopSettings]
)
def test_every_field_is_described(model):
    assert all(field.description for field in model.model_fields.values())
