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

from aiida_trainspot.calculations.ase_label import JOURNAL
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.workflows.label.base import wait_for_strays
from aiida_trainspot.workflows.once import is_replaced, submit_once
from trainspot.frames import Frame
from trainspot.label.ase import AseLabelEngine, AseSettings

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
def frames(rng):
    """Copper, copper, the killer, copper: a job; and copper: another."""
    found = []
    for _ in range(4):
        atoms = bulk("Cu", cubic=True)
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        found.append(Frame.from_atoms(atoms))
    return [*found[:2], Frame.from_atoms(bulk("W")), *found[2:]]


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
    assert [job.is_finished_ok for job in jobs] == [False, True]


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
