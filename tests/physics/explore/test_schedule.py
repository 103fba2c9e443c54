"""What is run: ranges covered, starts, ensembles, seeds, JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.explore.schedule import Plan, dump, parse, schedule, start_frames


@pytest.fixture
def initial(silicon, cluster, sheet):
    atom = Frame.make([14], [[0, 0, 0]])
    return Dataset.from_frames([atom, silicon, cluster, sheet])


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_temperature_and_pressure_cover_every_stratum(n, seed):
    frame = Frame.make([14, 14], [[0, 0, 0], [0, 0, 2.3]])
    plan = Plan(starts=n, temperature=(100, 900), pressure=(-3, 7))
    runs = schedule(Dataset.from_frames([frame]), plan, seed)
    for values, (low, high) in (
        ([r.temperature for r in runs], plan.temperature),
        ([r.pressure for r in runs], plan.pressure),
    ):
        strata = np.floor((np.array(values) - low) / (high - low) * n).astype(int)
        assert sorted(strata) == list(range(n))


def test_single_atoms_are_never_started_from_and_all_others_are_used_evenly(initial):
    runs = schedule(initial, Plan(starts=7), seed=2)
    counts = [sum(run.start == identity for run in runs) for identity in initial.ids]
    assert counts[0] == 0
    assert sorted(counts[1:]) == [2, 2, 3]


def test_ensemble_and_barostat_follow_periodicity(initial):
    runs = schedule(initial, Plan(starts=initial.ids[1:]), seed=2)
    assert [run.ensemble for run in runs] == ["npt", "nvt", "npt"]
    axes = [(True, True, True), (False, False, False), (True, False, True)]
    assert [run.barostat for run in runs] == axes
    nve = schedule(initial, Plan(starts=initial.ids[1:], ensemble="nve"), seed=2)
    assert {run.barostat for run in nve} == {(False, False, False)}
    # Nothing can be pressed where nothing is periodic.
    npt = schedule(initial, Plan(starts=[initial.ids[2]], ensemble="npt"), seed=2)
    assert npt[0].ensemble == "nvt"


def test_temperature_has_a_floor(initial):
    runs = schedule(initial, Plan(starts=3, temperature=(0, 0)), seed=1)
    assert {run.temperature for run in runs} == {1.0}


def test_same_seed_same_runs_and_another_iteration_other_runs(initial):
    plan = Plan(starts=6)
    assert schedule(initial, plan, 5) == schedule(initial, plan, 5)
    first, second = schedule(initial, plan, 5), schedule(initial, plan, 5, iteration=1)
    assert not {r.trajectory for r in first} & {r.trajectory for r in second}
    assert len({r.seed for r in first + second}) == 12
    assert all(1 <= r.seed < 2**31 for r in first)
    assert {r.iteration for r in second} == {1}


def test_schedule_survives_json_exactly(initial):
    runs = schedule(initial, Plan(starts=5), 5)
    assert parse(json.loads(json.dumps(dump(runs)))) == runs
    assert len({run.trajectory for run in runs}) == 5
    # AiiDA keeps 14 digits.
    assert all(float(f"{v:.14g}") == v for run in runs for v in (run.temperature, run.pressure))


@pytest.mark.parametrize(
    "values", [{}, {"runs": 3}, {"runs": [{}]}, {"runs": [{"barostat": [1, 1, 1], "x": 1}]}]
)
def test_a_damaged_schedule_is_refused(values):
    with pytest.raises(InputError, match="schedule"):
        parse(values)


def test_start_frames_come_once_each_and_unknown_ones_are_refused(initial):
    runs = schedule(initial, Plan(starts=7), seed=2)
    starts = start_frames(initial, runs)
    assert sorted(starts.ids) == sorted(initial.ids[1:])
    with pytest.raises(InputError, match="no such start frame"):
        start_frames(initial.take([0]), runs)


def test_impossible_starts_are_refused(initial):
    with pytest.raises(InputError, match="no frame to start from"):
        schedule(initial.take([0]), Plan(), 1)
    with pytest.raises(InputError, match="single atom"):
        schedule(initial, Plan(starts=[initial.ids[0]]), 1)
    with pytest.raises(InputError, match="no such start frame"):
        schedule(initial, Plan(starts=["f" * 64]), 1)


@pytest.mark.parametrize(
    "values",
    [
        {"temperature": (-1, 5)},
        {"temperature": (9, 5)},
        {"pressure": (1, 0)},
        {"pressure": (0, float("inf"))},
        {"starts": 0},
        {"starts": []},
        {"time": 0.5, "sample_every": 1.0},
        {"timestep": 2000.0, "sample_every": 1.0},
        {"time": -1},
        {"speed": 1},
    ],
)
def test_nonsense_plans_are_refused(values):
    with pytest.raises(ValidationError):
        Plan(**values)


def test_steps_are_whole_samples():
    plan = Plan(time=1.0, sample_every=0.3, timestep=0.5)
    assert (plan.every, plan.steps) == (600, 1800)
    assert Plan(time=0.3, sample_every=0.1).steps == 300
