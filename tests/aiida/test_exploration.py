"""Exploration through AiiDA: both engines, restarts, failures, what the parser accepts."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.orm import Dict, InstalledCode, Int, SinglefileData, Str
from aiida.plugins import WorkflowFactory
from ase.build import bulk

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.explore import gather_exploration
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.explore.ase import AseExplorer
from trainspot.explore.schedule import Plan, parse, schedule
from trainspot.models.potential import load
from trainspot.train.toy import ToySettings, fit

PLAN = {
    "starts": 3,
    "temperature": [50, 150],
    "pressure": [0, 1],
    "time": 0.02,
    "sample_every": 0.01,
}


@pytest.fixture(scope="module")
def initial():
    """Small cells of three elements, and an atom that must not be started from."""
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    atoms.numbers[0] = 19
    frames = [Frame.make([11], [[0, 0, 0]])]
    for seed in range(6):
        copy = atoms.copy()
        copy.rattle(0.05, seed=seed)
        frames.append(Frame.from_atoms(copy))
    return Dataset.from_frames(frames)


@pytest.fixture(scope="module")
def model_file(initial, tmp_path_factory):
    """A toy model that holds every atom near the ideal site: springs as reference."""
    home = initial[1].positions
    frames = []
    for frame in initial[1:]:
        away = frame.positions - home
        labels = Labels(float((away**2).sum()), -2 * away, np.zeros((3, 3)))
        frames.append(frame.with_(labels=labels, split="train"))
    model, *_ = fit(Dataset.from_frames(frames), ToySettings(), 1)
    path = tmp_path_factory.mktemp("model") / "model.toy"
    model.save(path)
    return path


@pytest.fixture
def code(aiida_profile, aiida_localhost):
    """Codes of our own programs, as ``trainspot setup`` would make them."""
    del aiida_profile

    def make(program):
        path = Path(sys.executable).parent / program  # an absolute path stays as it is
        return InstalledCode(aiida_localhost, str(path), label=path.stem).store()

    return make


@pytest.fixture
def explore(initial, model_file, code):
    """Runs the stage in this process."""

    def run(engine, program, *, plan=PLAN, settings=None, concurrent=2):
        return run_get_node(
            WorkflowFactory("trainspot.explore"),
            engine=Str(engine),
            initial=PESData(initial),
            plan=Dict(plan),
            seed=Int(3),
            iteration=Int(2),
            model=SinglefileData(model_file),
            kind=Str("toy"),
            code=code(program),
            settings=Dict(settings or {}),
            max_concurrent=Int(concurrent),
        )

    return run


def md_jobs(node):
    return [c for c in node.called_descendants if c.process_label == "AseMdCalculation"]


def test_the_ase_engine_does_what_plain_python_does(explore, initial, model_file):
    shared = {"runs_per_job": 2}
    with enable_caching(identifier="aiida.calculations:trainspot.ase_md"):
        outputs, node = explore("ase", "trainspot", settings=shared)
        fewer = explore("ase", "trainspot", settings=shared, concurrent=1)[1]
    assert node.is_finished_ok, node.exit_message
    runs = schedule(initial, Plan(**PLAN), 3, iteration=2)
    assert parse(outputs["schedule"].get_dict()) == runs
    starts = outputs["starts"].dataset
    assert set(starts.ids) == {run.start for run in runs}
    expected = AseExplorer.run(starts, runs, load(model_file))
    assert outputs["explored"].dataset.ids == expected.explored.ids
    assert len(outputs["explored"]) == 6
    assert len(outputs["failures"]) == 0
    assert outputs["explored"].dataset[0].origin.iteration == 2
    assert len(md_jobs(node)) == 2  # three runs, two a job
    # how many jobs run at once decides nothing: another machine finds them in the cache
    assert [job.base.caching.is_created_from_cache for job in md_jobs(fewer)] == [True, True]


def test_bad_inputs_are_refused_before_anything_runs(explore):
    with pytest.raises(ValueError, match="no-such"):
        explore("no-such", "trainspot")
    with pytest.raises(ValueError, match="did you mean 'barostat_time'"):
        explore("ase", "trainspot", settings={"barostat_tim": 3})
    with pytest.raises(ValueError, match="temperature"):
        explore("ase", "trainspot", plan={"temperature": [9, 1]})


def test_a_dead_program_is_an_error_with_a_reason(explore):
    outputs, node = explore("ase", "false", concurrent=1)
    assert node.exit_status == 453
    assert len(outputs["failures"]) == 3
    reason = outputs["failures"].dataset[0].info["failure"]["reason"]
    assert reason == "cut off before its end"


@pytest.mark.engine
def test_the_lammps_engine_runs_trainspot_lmp(explore, initial):
    outputs, node = explore("lammps", "trainspot-lmp", settings={"runs_per_job": 2})
    assert node.is_finished_ok, node.exit_message
    explored = outputs["explored"].dataset
    runs = parse(outputs["schedule"].get_dict())
    assert explored.counts("trajectory") == {run.trajectory: 2 for run in runs}
    assert [frame.origin.parent for frame in explored[::2]] == [run.start for run in runs]
    known = {frame.id: frame for frame in initial}
    for frame in explored:
        assert np.array_equal(frame.numbers, known[frame.origin.parent].numbers)
    jobs = [c for c in node.called_descendants if c.process_label == "LammpsMdCalculation"]
    assert len(jobs) == 2
    names = {name for job in jobs for name in job.outputs.retrieved.list_object_names()}
    assert not {name for name in names if name.endswith((".dump", ".restart"))}


CUT_OFF = """#!/bin/sh
# Loses the end of a fresh run, as if it had been killed; lets a continued run finish.
{program} "$@" > all.txt
if grep -q read_restart input.in; then cat all.txt; exit; fi
sed '/^trainspot end/,$d' all.txt
rm -f md-*.20.restart
"""


@pytest.mark.engine
def test_a_run_that_is_cut_off_is_continued(explore, tmp_path):
    script = tmp_path / "cut_off.sh"
    script.write_text(CUT_OFF.format(program=Path(sys.executable).with_name("trainspot-lmp")))
    script.chmod(0o755)
    outputs, node = explore("lammps", script, plan=PLAN | {"starts": 1})
    assert node.is_finished_ok, node.exit_message
    jobs = sorted(
        (c for c in node.called_descendants if c.process_label == "LammpsMdCalculation"),
        key=lambda job: job.pk,
    )
    assert [job.exit_status for job in jobs] == [400, 0]
    assert jobs[0].outputs.results.get_dict()["restart"]["step"] == 10
    assert "read_restart continue.restart" in jobs[1].inputs.script.get_content()
    steps = [frame.origin.parameters["step"] for frame in outputs["explored"].dataset]
    assert steps == [10, 20]
    assert len(outputs["failures"]) == 0


def test_gathering_takes_each_step_once_and_records_what_is_missing(
    initial, model_file, aiida_profile
):
    runs = schedule(initial, Plan(**PLAN), 3)
    starts = PESData(initial)
    explored = AseExplorer.run(initial, runs, load(model_file)).explored
    whole = gather_exploration(
        starts,
        Dict({"runs": [run.to_dict() for run in runs]}),
        explored_0=PESData(explored[3:]),
        explored_1=PESData(explored[:4]),
    )
    assert whole["explored"].dataset.ids == explored.ids
    assert len(whole["failures"]) == 0
    part = gather_exploration(
        starts, Dict({"runs": [run.to_dict() for run in runs]}), explored_0=PESData(explored[:3])
    )
    lost = part["failures"].dataset
    assert lost.ids == [run.start for run in runs[1:]]
    assert lost[0].info["failure"]["trajectory"] == runs[1].trajectory
