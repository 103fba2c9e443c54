"""Ending campaigns: workers end what they hold, the rest is closed, with a daemon or without."""

from __future__ import annotations

import subprocess
import sys

import pytest
from aiida.common.links import LinkType
from aiida.engine.processes import control
from aiida.orm import CalcFunctionNode, CalcJobNode, ProcessNode, QueryBuilder, WorkChainNode
from click.testing import CliRunner
from plumpy import ProcessState

from aiida_trainspot.cli import stop as stop_module
from aiida_trainspot.launch import stopping
from trainspot.cli import main


@pytest.fixture
def family(campaign, aiida_localhost):
    """A campaign with a stage, a job and a decision under it."""

    def child(parent, node, state, **attributes):
        node.base.links.add_incoming(parent, LinkType.CALL_WORK, "child") if isinstance(
            node, WorkChainNode
        ) else node.base.links.add_incoming(parent, LinkType.CALL_CALC, "child")
        node.set_process_state(state)
        for key, value in attributes.items():
            node.base.attributes.set(key, value)
        return node.store()

    stage = child(campaign, WorkChainNode(), ProcessState.WAITING)
    job = child(stage, CalcJobNode(computer=aiida_localhost), ProcessState.WAITING)
    lost = child(stage, CalcJobNode(computer=aiida_localhost), ProcessState.CREATED)
    decision = child(stage, CalcFunctionNode(), ProcessState.RUNNING)
    return {"campaign": campaign, "stage": stage, "job": job, "lost": lost, "decision": decision}


def states() -> set[ProcessState]:
    return {node.process_state for node in QueryBuilder().append(ProcessNode).all(flat=True)}


def test_without_a_daemon_everything_is_closed_and_local_jobs_end(
    family, embedded, tmp_path, monkeypatch
):
    here = tmp_path / "here"
    here.mkdir()
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    job, other = (subprocess.Popen(sleep, cwd=folder) for folder in (here, tmp_path))
    family["job"].set_job_id(str(job.pid))
    family["job"].set_remote_workdir(str(here))
    family["lost"].set_job_id(str(other.pid))  # after a reboot the number is another program's
    family["lost"].set_remote_workdir(str(here))
    monkeypatch.setattr(control, "kill_processes", lambda *_, **__: pytest.fail("nobody to ask"))
    result = CliRunner().invoke(main, ["stop", "silicon"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "silicon is stopped; its finished labels are kept\n"
    assert states() == {ProcessState.KILLED}
    assert all(node.is_sealed for node in family.values())
    assert job.wait(timeout=30) != 0
    assert other.poll() is None
    other.kill()
    other.wait()
    result = CliRunner().invoke(main, ["stop", "silicon"])
    assert (result.exit_code, result.stderr) == (0, "silicon has ended already\n")


def test_a_job_whose_computer_does_not_answer_is_named(family, embedded, monkeypatch):
    def fail(*_):
        raise OSError("no route to host")

    family["job"].set_job_id("77")
    monkeypatch.setattr(stopping, "_is_gone", lambda *_: False)
    monkeypatch.setattr(stopping, "kill_calculation", fail)
    result = CliRunner().invoke(main, ["stop", "silicon"])
    assert result.exit_code == 0
    assert "warning: job 77 on localhost may still run: no route to host\n" in result.stderr
    assert states() == {ProcessState.KILLED}


def test_workers_are_asked_for_what_they_hold_and_the_rest_is_closed(family, server, monkeypatch):
    """The campaign is held, and ends with its stage; a job of it never began."""
    asked = []
    server_knows = {family["campaign"].pk, family["stage"].pk, family["job"].pk}

    def kill(nodes, **_):
        asked.extend(node.pk for node in nodes)
        for name in ("job", "decision", "stage", "campaign"):
            family[name].set_process_state(ProcessState.KILLED)
        server_knows.clear()

    monkeypatch.setattr(stopping, "silence", lambda _: "")
    monkeypatch.setattr(stopping, "is_held", lambda _, pk: pk in server_knows)
    monkeypatch.setattr(control, "kill_processes", kill)
    result = CliRunner().invoke(main, ["stop", "silicon"])
    assert result.exit_code == 0
    assert asked == [family["campaign"].pk]
    assert states() == {ProcessState.KILLED}
    assert family["lost"].is_sealed


def test_what_an_ended_campaign_left_is_ended_too(family, server, monkeypatch):
    family["campaign"].set_process_state(ProcessState.EXCEPTED)
    monkeypatch.setattr(stopping, "silence", lambda _: "")
    result = CliRunner().invoke(main, ["stop", "silicon"])  # the broker knows none of them
    assert result.exit_code == 0
    assert states() == {ProcessState.EXCEPTED, ProcessState.KILLED}


def test_a_worker_that_does_not_obey_is_an_error(family, server, monkeypatch):
    monkeypatch.setattr(stopping, "silence", lambda _: "")
    monkeypatch.setattr(stopping, "is_held", lambda *_: True)
    monkeypatch.setattr(control, "kill_processes", lambda *_, **__: None)
    monkeypatch.setattr(stop_module, "_TIMEOUT", 0.0)
    result = CliRunner().invoke(main, ["stop", "silicon"])
    assert result.exit_code == 1
    assert "silicon has not ended within 0 s; an AiiDA worker is busy; try again" in result.stderr
    assert family["job"].process_state is ProcessState.WAITING
