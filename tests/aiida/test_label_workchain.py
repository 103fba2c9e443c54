"""The labelling stage through AiiDA, in this process, with the engine ``ase``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.engine import run_get_node
from aiida.manage.caching import enable_caching
from aiida.plugins import WorkflowFactory
from ase.build import bulk

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.label import batches, deal, gather_parts, gather_pw, structures
from aiida_trainspot.workflows.label.gather import gather_all, gather_calculations
from trainspot import split
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.data.refused import MARK
from trainspot.label import base
from trainspot.label.ase import AseLabelEngine, AseSettings

NOTHING = Dataset.from_frames([])
SETTINGS = {"calculator": "emt", "frames_per_job": 3}


def code(computer, executable):
    return orm.InstalledCode(
        label=Path(executable).name, computer=computer, filepath_executable=str(executable)
    ).store()


@pytest.fixture
def trainspot_code(aiida_localhost):
    aiida_localhost.configure(use_login_shell=False, safe_interval=0.0)
    aiida_localhost.set_minimum_job_poll_interval(0.1)
    return code(aiida_localhost, Path(sys.executable).with_name("trainspot"))


@pytest.fixture
def copper(rng) -> list[Frame]:
    frames = []
    for size in (1, 2, 1, 1, 1):
        atoms = bulk("Cu", cubic=True).repeat((size, 1, 1))
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        frames.append(Frame.from_atoms(atoms))
    return frames


def run_stage(frames, program, settings=SETTINGS, engine="ase", **inputs):
    given = {"engine": orm.Str(engine), "dataset": PESData(frames), "code": program}
    given |= {"settings": orm.Dict(settings)} | inputs
    return run_get_node(WorkflowFactory("trainspot.label"), **given)


def jobs(node):
    return [n for n in node.called_descendants if isinstance(n, orm.CalcJobNode)]


def test_the_stage_labels_what_has_no_label(copper, trainspot_code):
    given = copper[0].with_(labels=Labels(-1.0, np.zeros((4, 3)), None, "mine"), split="test")
    tungsten = Frame.from_atoms(bulk("W"))
    frames = [copper[1], given, tungsten, *copper[2:], copper[1]]
    with enable_caching(identifier="aiida.calculations:trainspot.ase_label"):
        outputs, node = run_stage(frames, trainspot_code)
        # 4 of 5 is less than 0.9: an error that keeps what there is
        assert node.exit_status == 410
        assert "1 of 5" in node.exit_message
        labelled, failures = outputs["labelled"].dataset, outputs["failures"].dataset
        assert labelled.ids == [copper[1].id, given.id, *(f.id for f in copper[2:])]
        assert labelled.is_labelled.all()
        assert labelled.by_id(given.id).labels.theory == "mine"
        assert labelled.by_id(given.id).split == "test"
        theory = AseLabelEngine.theory(AseSettings.model_validate(SETTINGS))
        assert labelled.by_id(copper[3].id).labels.theory == theory
        assert failures.ids == [tungsten.id]
        assert "W" in failures[0].info["failure"]["reason"]
        assert len(jobs(node)) == 2  # five frames, three a job

        # resubmitting takes what is there, failures included
        outputs, node = run_stage(
            frames, trainspot_code, min_success=orm.Float(0.8), max_concurrent=orm.Int(2)
        )
        assert node.exit_status == 0
        assert jobs(node) == []
        assert outputs["labelled"].base.caching.get_hash() is not None
        assert outputs["labelled"].dataset.ids == labelled.ids
        assert outputs["failures"].dataset[0].info["failure"] == failures[0].info["failure"]


def test_chosen_frames_join_the_dataset_with_labels_and_sets(copper, trainspot_code):
    known = [
        frame.with_(labels=Labels(-1.0, np.zeros((len(frame), 3)), None, "mine"), split="train")
        for frame in copper[:3]
    ]
    given, chosen = PESData(known), PESData([copper[3].with_(split="train"), copper[4]])
    splits = orm.Dict({"fractions": [0.6, 0.2, 0.2], "seed": 5})
    outputs, node = run_stage(
        known, trainspot_code, {"calculator": "emt"}, dataset=given, chosen=chosen, splits=splits
    )
    assert node.is_finished_ok, node.exit_message
    (job,) = jobs(node)
    assert job.inputs.dataset.uuid == chosen.uuid
    found = outputs["labelled"].dataset
    wanted = base.merged(given.dataset.merge(chosen.dataset), job.outputs.labelled.dataset, NOTHING)
    wanted = split.assign(wanted, splits["fractions"], seed=5)
    assert found.ids == [frame.id for frame in copper]
    assert found.is_labelled.all()
    assert found.column("split").tolist() == wanted.column("split").tolist()
    assert found[3].split == "train"
    assert outputs["failures"].uuid == job.outputs.failures.uuid
    called = [child.process_label for child in node.called_descendants]
    assert sorted(called) == ["AseLabelCalculation", "AseLabelWorkChain", "merge_labels"]


@pytest.mark.parametrize("splits", [{"fractions": [1, 1, 1], "seed": 0}, {"fractions": [1, 0, 0]}])
def test_sets_that_make_no_sense_are_refused(copper, trainspot_code, splits):
    with pytest.raises(ValueError, match="not the fractions and the seed of splits"):
        run_stage(copper, trainspot_code, splits=orm.Dict(splits))


def test_isolated_atoms_must_succeed(copper, trainspot_code):
    atom = Frame.make([74], [[0, 0, 0]], np.eye(3) * 15, False)
    outputs, node = run_stage([copper[0], atom], trainspot_code, min_success=orm.Float(0.1))
    assert node.exit_status == 410
    assert "isolated atom W" in node.exit_message
    assert outputs["labelled"].dataset.ids == [copper[0].id]


def test_nothing_to_do_costs_nothing(labelled_frames, trainspot_code):
    outputs, node = run_stage(labelled_frames, trainspot_code)
    assert node.is_finished_ok
    assert jobs(node) == []
    assert outputs["labelled"].dataset.ids == [f.id for f in labelled_frames]
    assert len(outputs["failures"]) == 0
    assert run_stage([], trainspot_code)[1].exit_status == 200


def test_refused_frames_that_fail_do_not_fail_the_stage(copper, trainspot_code):
    """EMT knows no silicon; three of the four frames come from an audit of the screen."""
    info = {MARK: {"cause": "force", "max_force": 50.0}}
    silicon = [Frame.from_atoms(bulk("Si", a=5.3 + k / 10)).with_(info=info) for k in range(3)]
    splits = orm.Dict({"fractions": [0.8, 0.1, 0.1], "seed": 0})
    outputs, node = run_stage([copper[0], *silicon], trainspot_code, splits=splits)
    assert node.is_finished_ok
    assert outputs["labelled"].ids == [copper[0].id]
    assert sorted(outputs["failures"].ids) == sorted(frame.id for frame in silicon)
    bare = [frame.with_(info={}) for frame in silicon]
    _, node = run_stage([copper[0], *bare], trainspot_code, splits=splits)
    assert node.exit_status == 410


def test_a_program_that_does_not_work_fails_the_stage(copper, aiida_localhost):
    aiida_localhost.configure(use_login_shell=False, safe_interval=0.0)
    aiida_localhost.set_minimum_job_poll_interval(0.1)
    _, node = run_stage(copper[:1], code(aiida_localhost, "/bin/false"))
    assert node.exit_status == 451
    assert "AseLabelCalculation 303" in node.exit_message


@pytest.mark.parametrize(
    ("engine", "settings", "message"),
    [
        ("asee", SETTINGS, "did you mean 'ase'"),
        ("ase", {"calculator": "emt", "parameter": {}}, "did you mean 'parameters'"),
        ("quantumespresso", {"protocol": "paper"}, "protocol"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(
    copper, trainspot_code, engine, settings, message
):
    with pytest.raises(ValueError, match=message):
        run_stage(copper, trainspot_code, settings, engine)


def test_a_missing_pseudopotential_family_is_said_before_anything_runs(copper, trainspot_code):
    _, node = run_stage(copper, trainspot_code, {"pseudo_family": "none"}, "quantumespresso")
    assert node.exit_status == 202
    assert "'none' is not installed" in node.exit_message
    assert jobs(node) == []


def test_parts_hold_every_frame_once_and_no_label(copper, labelled_frames):
    node = PESData([*copper, *labelled_frames])
    for parts in (deal(node, orm.Int(3)), batches(node, orm.Int(6))):
        found = [identity for part in parts.values() for identity in part.dataset.ids]
        assert sorted(found) == sorted(node.dataset.ids)
        assert len(parts) == 3
        assert all(part.n_labelled == 0 for part in parts.values())
    work = [int((part.dataset.n_atoms**2).sum()) for part in deal(node, orm.Int(3)).values()]
    assert max(work) - min(work) <= 64  # never more than one of the largest frames


def test_parts_come_back_in_the_order_of_the_dataset(copper):
    done = [f.with_(labels=Labels(1.0, np.zeros((len(f), 3)), None, "t")) for f in copper]
    lost = orm.Dict({copper[4].id: {"reason": "died", "exit_status": 302}})
    result = gather_parts(
        PESData(copper),
        lost,
        labelled_b=PESData([done[3], done[0]]),
        failures_a=PESData([base.failed(copper[2], "bad")]),
        labelled_a=PESData([done[1]]),
    )
    assert result["labelled"].dataset.ids == [f.id for f in (copper[0], copper[1], copper[3])]
    failures = [frame.info["failure"] for frame in result["failures"].dataset]
    assert failures == [
        {"reason": "bad", "exit_status": None},
        {"reason": "died", "exit_status": 302},
    ]


def test_structures_are_the_frames(copper, silicon):
    node = PESData([*copper, silicon])
    made = structures(node, orm.Int(4), orm.Int(20))
    assert sorted(made) == ["frame_000004", "frame_000005"]
    again = Frame.from_atoms(made["frame_000005"].get_ase())
    assert again.id == silicon.id == made["frame_000005"].label


def trajectory(frame, **arrays):
    node = orm.TrajectoryData()
    symbols = list(frame.to_atoms().symbols)
    node.set_trajectory(symbols, frame.positions[None], cells=frame.cell[None], pbc=[True] * 3)
    for name, values in arrays.items():
        node.set_array(name, np.array(values))
    return node


def test_results_of_pw_become_labels_or_failures(copper):
    n = len(copper[0])
    good = trajectory(copper[0], energy=[-5.0], forces=[np.ones((n, 3))], stress=[np.eye(3)])
    no_forces = trajectory(copper[2], energy=[-5.0])
    infinite = trajectory(copper[3], energy=[-5.0], forces=[np.full((n, 3), np.inf)])
    result = gather_pw(
        PESData(copper),
        orm.Dict({"ecutwfc": 20.0, "ecutrho": 80.0}),
        orm.Dict({copper[1].id: {"reason": "no convergence", "exit_status": 410}}),
        start=orm.Int(0),
        count=orm.Int(len(copper)),
        frame_000000=good,
        frame_000002=no_forces,
        frame_000003=infinite,
    )
    labels = result["labelled"].dataset[0].labels
    assert result["labelled"].dataset.ids == [copper[0].id]
    assert labels.energy == -5.0
    assert labels.theory.startswith("quantumespresso-")
    np.testing.assert_allclose(labels.stress, -np.eye(3) / 160.21766, rtol=1e-6)
    reasons = [f.info["failure"]["reason"] for f in result["failures"].dataset]
    assert reasons == [
        "no convergence",
        "pw.x left no energy or no forces",
        "forces is not finite; leave an absent label out",
        "no result",
    ]
    assert isinstance(result["failures"].dataset, Dataset)


def gatherer():
    """What runs calcfunctions, and what it was asked to run: label and number of inputs."""
    asked = {}

    def run(label, function, **inputs):
        assert label not in asked, "a label is used once"
        asked[label] = len(inputs)
        return function(**inputs)

    return run, asked


def test_many_results_are_gathered_a_few_at_a_time(copper, monkeypatch):
    monkeypatch.setattr("aiida_trainspot.workflows.label.gather.MOST_INPUTS", 2)
    results = {
        f"frame_{row:06d}": trajectory(
            frame, energy=[float(row)], forces=[np.zeros((len(frame), 3))]
        )
        for row, frame in enumerate(copper)
        if row != 2
    }
    run, asked = gatherer()
    settings = orm.Dict({"ecutwfc": 20.0, "ecutrho": 80.0})
    lost = orm.Dict({copper[2].id: {"reason": "died", "exit_status": 302}})
    made = gather_calculations(run, "gather", PESData(copper), settings, lost, results)
    rows = [row for row in range(len(copper)) if row != 2]
    assert made["labelled"].dataset.ids == [copper[row].id for row in rows]
    assert made["labelled"].dataset.column("energy").tolist() == rows
    (failure,) = made["failures"].dataset
    assert (failure.id, failure.info["failure"]["reason"]) == (copper[2].id, "died")
    assert list(asked)[-1] == "gather"
    assert max(asked.values()) <= 2 + 5  # besides the results: dataset, settings, lost, two rows


def test_few_results_are_gathered_at_once(copper):
    run, asked = gatherer()
    settings = orm.Dict({"ecutwfc": 20.0, "ecutrho": 80.0})
    made = gather_calculations(run, "gather", PESData(copper), settings, orm.Dict({}), {})
    assert list(asked) == ["gather"]
    assert made["failures"].dataset.ids == [frame.id for frame in copper]


def test_many_parts_are_joined_before_they_are_put_in_order(copper, monkeypatch):
    monkeypatch.setattr("aiida_trainspot.workflows.label.gather.MOST_INPUTS", 2)
    done = [f.with_(labels=Labels(1.0, np.zeros((len(f), 3)), None, "t")) for f in copper]
    parts = {f"labelled_{row}": PESData([frame]) for row, frame in enumerate(reversed(done))}
    run, asked = gatherer()
    made = gather_all(run, "gather", PESData(copper), orm.Dict({}), parts)
    assert made["labelled"].dataset.ids == [frame.id for frame in copper]
    assert len(made["failures"]) == 0
    assert max(asked.values()) <= 2 + 2
