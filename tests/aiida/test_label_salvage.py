"""Whatever dies while it labels, the frames that were done are kept, the others have a reason."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from aiida import orm
from aiida.common.links import LinkType
from aiida.engine import run_get_node
from aiida.engine.processes.workchains.awaitable import AwaitableAction
from aiida.plugins import WorkflowFactory
from ase.build import bulk
from click.testing import CliRunner

from aiida_trainspot.calculations.ase_label import JOURNAL, LABELLED
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.workflows.label.base import engine_workchain, wait_for_strays
from aiida_trainspot.workflows.once import is_replaced, submit_once
from trainspot.cli import main
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Origin
from trainspot.label.ase import AseLabelEngine, AseSettings
from trainspot.label.journal import add

# EMT, but a frame of tungsten kills the job, as a scheduler or a full memory would.
KILLER = """
import os, signal
from ase.calculators.emt import EMT

class Killer(EMT):
    def calculate(self, atoms=None, *args, **kwargs):
        if "W" in atoms.symbols:
            os.kill(os.getpid(), signal.SIGKILL)
        super().calculate(atoms, *args, **kwargs)
"""
SETTINGS = {"calculator": "killer:Killer", "frames_per_job": 4}


@pytest.fixture
def program(aiida_localhost, tmp_path):
    """The command ``trainspot``, which finds the calculator that kills."""
    (tmp_path / "killer.py").write_text(KILLER)
    return orm.InstalledCode(
        label="trainspot",
        computer=aiida_localhost,
        filepath_executable=str(Path(sys.executable).with_name("trainspot")),
        prepend_text=f"export PYTHONPATH={tmp_path}",
    ).store()


@pytest.fixture
def frames(copper):
    """Copper, copper, the killer, copper: a job; and copper: another."""
    return [*copper[:2], Frame.from_atoms(bulk("W")), *copper[2:]]


def run_stage(frames, program, **settings):
    return run_get_node(
        WorkflowFactory("trainspot.label"),
        engine=orm.Str("ase"),
        dataset=PESData(frames),
        code=program,
        settings=orm.Dict(SETTINGS | settings),
        min_success=orm.Float(0.5),
    )


def test_a_job_that_is_killed_leaves_what_it_had_labelled(frames, program):
    outputs, node = run_stage(frames, program)
    assert node.exit_status == 0, node.exit_message
    labelled, failures = outputs["labelled"].dataset, outputs["failures"].dataset
    assert labelled.ids == [frames[i].id for i in (0, 1, 4)]
    assert failures.ids == [frames[i].id for i in (2, 3)]
    for frame in failures:
        assert frame.info["failure"]["reason"].startswith("AseLabelCalculation 406: ")
        assert frame.info["failure"]["exit_status"] == 406
    expected = AseLabelEngine().label(labelled, AseSettings(calculator="emt")).labelled
    for name in ("energy", "forces", "stress"):
        np.testing.assert_array_equal(labelled.column(name), expected.column(name))
    assert len(labelled.theories) == 1  # those of the journal and those of the whole job
    jobs = [c for c in node.called_descendants if isinstance(c, orm.CalcJobNode)]
    assert JOURNAL not in jobs[0].outputs.retrieved.list_object_names()
    assert [job.is_finished_ok for job in jobs] == [False, False, True]  # it dies of a frame


def test_an_engine_that_dies_leaves_what_it_had_labelled(frames, program, monkeypatch):
    def fail_at_the_second(workchain, label, *args, **inputs):
        if label == "part_0001":
            raise OSError("no space left on device")
        return submit_once(workchain, label, *args, **inputs)

    monkeypatch.setattr("aiida_trainspot.workflows.label.ase.submit_once", fail_at_the_second)
    outputs, node = run_stage([frames[3], *frames[:3]], program, frames_per_job=1)
    assert node.exit_status == 451
    assert "AseLabelWorkChain was excepted" in node.exit_message
    assert outputs["labelled"].dataset.ids == [frames[3].id]
    failures = outputs["failures"].dataset
    assert failures.ids == [frame.id for frame in frames[:3]]
    reasons = [frame.info["failure"]["reason"] for frame in failures]
    assert reasons == ["AseLabelWorkChain was excepted"] * 3


def child_of(parent, label, state):
    node = orm.WorkChainNode()
    node.set_process_state(state)
    node.base.links.add_incoming(parent, LinkType.CALL_WORK, label)
    return node.store()


class Waiting:
    """Notes what a work chain would wait for."""

    def __init__(self):
        self.waited, self.reports = [], []

    def report(self, message):
        self.reports.append(message)

    def to_context(self, strays):
        self.waited.append(strays.pk)
        assert strays.action is AwaitableAction.APPEND


def test_what_a_dead_work_chain_had_started_is_waited_for_and_the_rest_never_starts():
    dead = orm.WorkChainNode()
    dead.set_process_state("excepted")
    dead.store()
    dead_lane = child_of(dead, "part_0", "excepted")
    child_of(dead, "part_1", "finished")
    running = [child_of(dead, "part_2", "running"), child_of(dead_lane, "frame_0", "waiting")]
    unstarted = [child_of(dead, "part_3", "created"), child_of(dead_lane, "frame_1", None)]
    waiting = Waiting()
    wait_for_strays(waiting, [dead])
    assert sorted(waiting.waited) == sorted(node.pk for node in running)
    assert len(waiting.reports) == 2
    assert [is_replaced(node) for node in unstarted] == [True, True]
    assert not any(is_replaced(node) for node in [dead_lane, *running])


# ── what is labelled so far, whatever became of it ────────────────────────────
def job_of(engine, label, asked, computer, folder=None):
    """A job of an engine that has not been parsed: at work, or killed."""
    job = orm.CalcJobNode(computer=computer, process_type="aiida.calculations:trainspot.ase_label")
    job.set_option("resources", {"num_machines": 1})
    for name, one in {
        "dataset": PESData(asked),
        "settings": orm.Dict({"calculator": "emt"}),
    }.items():
        job.base.links.add_incoming(one.store(), LinkType.INPUT_CALC, name)
    job.base.links.add_incoming(engine, LinkType.CALL_CALC, label)
    job.store()
    if folder is not None:
        remote = orm.RemoteData(computer=computer, remote_path=str(folder))
        remote.base.links.add_incoming(job, LinkType.CREATE, "remote_folder")
        remote.store()
    return job


@pytest.fixture
def dead_campaign(frames, aiida_localhost, tmp_path):
    """Killed while it labelled: one job had written some labels, one all, one nothing."""
    copper = [frame for frame in frames if frame.numbers[0] == 29]
    asked = [frame.with_(origin=Origin("md", iteration=1)) for frame in copper]
    node = orm.WorkChainNode(label="dead")
    node.set_process_label("TrainsPotWorkChain")
    config = orm.Dict({"split": {"fractions": [0.5, 0.25, 0.25]}, "seed": 3})
    given = PESData(asked).store()
    for name, one in {"config": config, "dataset": given}.items():
        node.base.links.add_incoming(one.store(), LinkType.INPUT_WORK, name)
    node.store()
    stage = orm.WorkChainNode()
    stage.base.links.add_incoming(node, LinkType.CALL_WORK, "iteration_1_label")
    for name, one in {"engine": orm.Str("ase"), "dataset": given}.items():
        stage.base.links.add_incoming(one.store(), LinkType.INPUT_WORK, name)
    stage.store()
    engine = child_of(stage, "engine", "killed")
    settings = AseSettings(calculator="emt")
    folders = [tmp_path / name for name in ("at_work", "written", "nothing")]
    for folder in folders:
        folder.mkdir()
    with (folders[0] / JOURNAL).open("wb") as stream:
        add(stream, AseLabelEngine().label(Dataset.from_frames(asked[:1]), settings).labelled[0])
    done = AseLabelEngine().label(Dataset.from_frames(asked[2:3]), settings).labelled
    hdf5.write(done, folders[1] / LABELLED)
    for n, part in enumerate((asked[:2], asked[2:3], asked[3:])):
        job_of(engine, f"part_{n:04d}", part, aiida_localhost, folders[n])
    job_of(engine, "part_0003", asked[3:], aiida_localhost)  # never had a folder
    for one in (stage, node):
        one.set_process_state("killed")
    return node, asked


def test_nothing_that_a_killed_labelling_wrote_is_lost(dead_campaign, tmp_path):
    _, asked = dead_campaign
    before = orm.QueryBuilder().append(orm.Node).count()
    result = CliRunner().invoke(main, ["export", "dead", "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "labelled: 2 of 4 frames" in result.stdout
    assert orm.QueryBuilder().append(orm.Node).count() == before
    found = hdf5.read(tmp_path / "out" / "dataset.h5")
    assert found.ids == [frame.id for frame in asked]
    assert found.is_labelled.tolist() == [True, False, True, False]
    wanted = AseLabelEngine().label(found.labelled(), AseSettings(calculator="emt")).labelled
    np.testing.assert_array_equal(found.labelled().column("energy"), wanted.column("energy"))
    assert (found.labelled().column("split") > 0).all()
    assert "2 frames of the dataset have no labels" in (tmp_path / "out" / "README.md").read_text()


def test_a_campaign_that_died_without_a_label_says_so_in_one_line(dead_campaign, tmp_path):
    for journal in tmp_path.glob("*/*"):
        journal.unlink()
    result = CliRunner().invoke(main, ["export", "dead", "-o", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "nothing is labelled yet, so there is nothing to export" in result.stderr


def test_labels_of_pw_are_found_in_a_lane_that_died(rng):
    """Its frames that were done, from the calculations of the frames."""
    cells = [Frame.from_atoms(bulk("Si", a=5.4 + 0.1 * k)) for k in range(3)]
    lane = orm.WorkChainNode()
    inputs = {"dataset": PESData(cells), "settings": orm.Dict({"ecutwfc": 20, "ecutrho": 80})}
    for name, one in inputs.items():
        lane.base.links.add_incoming(one.store(), LinkType.INPUT_WORK, name)
    lane.set_process_state("killed")
    lane.store()
    for n, state in enumerate(("finished", "killed", "running")):
        base = child_of(lane, f"frame_{n:06d}", state)
        if state == "finished":
            base.set_exit_status(0)
            made = orm.TrajectoryData()
            made.set_trajectory(["Si", "Si"], np.zeros((1, 2, 3)))
            made.set_array("energy", np.array([-1.5]))
            made.set_array("forces", rng.normal(size=(1, 2, 3)))
            job = orm.CalcJobNode()
            job.base.links.add_incoming(base, LinkType.CALL_CALC, "iteration_01")
            job.store()
            made.base.links.add_incoming(job, LinkType.CREATE, "output_trajectory")
            made.store()
            made.base.links.add_incoming(base, LinkType.RETURN, "output_trajectory")
    found = engine_workchain("quantumespresso").labelled_in(lane)
    assert found.ids == [cells[0].id]
    assert found.column("energy").tolist() == [-1.5]
