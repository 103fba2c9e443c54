"""Processes whose task was lost are taken up again, once; all others are left alone."""

from __future__ import annotations

import json

import pytest
from aiida.brokers.zeromq.communicator import ZeromqCommunicator
from aiida.brokers.zeromq.service import ZeromqBrokerService
from aiida.common.links import LinkType
from aiida.engine.daemon.client import DaemonClient
from aiida.manage import get_config
from aiida.orm import WorkChainNode
from click.testing import CliRunner
from plumpy import ProcessState

from aiida_trainspot.runtime import broker, upkeep, watchdog
from aiida_trainspot.runtime.daemon import Daemon, State
from aiida_trainspot.runtime.profile import open_campaigns
from trainspot.cli import main


@pytest.fixture
def child(campaign):
    """A stage that its campaign waits for and that nobody has begun."""
    node = WorkChainNode()
    node.set_process_label("TrainingWorkChain")
    node.base.links.add_incoming(campaign, LinkType.CALL_WORK, "iteration_1_train")
    node.set_process_state(ProcessState.CREATED)
    node.store()
    node.set_checkpoint("where it begins")
    return node


@pytest.fixture
def daemon(server, monkeypatch):
    """A daemon with one worker, which started after everything that is in the database."""
    runs = Daemon("p", State.RUNS, 1)
    monkeypatch.setattr(upkeep, "look", lambda _: runs)
    monkeypatch.setattr(upkeep, "_LATER", 0.0)
    monkeypatch.setattr(upkeep, "broker_of", lambda _: None)
    worker = Started(float("inf"))
    monkeypatch.setattr(upkeep, "workers_of", lambda _: [worker])
    return worker


class Started:
    def __init__(self, when: float) -> None:
        self.when = when

    def create_time(self) -> float:
        return self.when


def tasks(server) -> list[int]:
    waiting = server._task_queue.get_all_pending() + server._task_queue.get_all_processing()
    return sorted(task["body"]["args"]["pid"] for _, task in waiting)


def test_a_child_without_a_task_is_taken_up_once(campaign, child, daemon, server):
    with ZeromqCommunicator(server.router_endpoint) as client:
        assert broker.send(client, campaign.pk)
    (line,) = upkeep.look_after([campaign])
    assert line == f"TrainingWorkChain <{child.pk}> had lost its task and was restarted"
    assert tasks(server) == [campaign.pk, child.pk]
    assert upkeep.look_after([campaign]) == []
    assert tasks(server) == [campaign.pk, child.pk]


def test_of_two_who_look_at_once_one_sends_tasks(campaign, child, daemon, server, embedded):
    with upkeep._alone(embedded) as first:
        assert first
        assert upkeep.look_after([campaign]) == []
    assert tasks(server) == []
    assert len(upkeep.look_after([campaign])) == 1


@pytest.mark.parametrize("reason", ["young", "held", "unwanted", "unsaved", "elsewhere"])
def test_what_may_run_is_left_alone(reason, campaign, child, daemon, server, monkeypatch):
    with ZeromqCommunicator(server.router_endpoint) as client:
        broker.send(client, campaign.pk)
        if reason == "young":  # its worker lives, and may be about to send the task
            daemon.when = 0.0
        elif reason == "held":
            client.add_rpc_subscriber(lambda *_: "I have it", identifier=str(child.pk))
        elif reason == "unwanted":
            campaign.set_process_state(ProcessState.KILLED)
        elif reason == "unsaved":  # its parent's step will be repeated, and replaces it
            child.delete_checkpoint()
        elif reason == "elsewhere":
            monkeypatch.setattr(upkeep, "open_processes", lambda _: [campaign])
        assert upkeep.look_after([campaign]) == []
        assert tasks(server) == [campaign.pk]


def test_a_queue_that_cannot_be_read_is_no_empty_queue(campaign, child, daemon, server, embedded):
    pending = server._storage_path / "tasks" / "pending"
    (pending / "1_x.json").write_text('{"body": "of another version"}')
    assert broker.queued(embedded) is None
    assert upkeep.look_after([campaign]) == []
    (pending / "1_x.json").unlink()
    (pending / "1_x.tmp").write_text("being written")
    assert broker.queued(embedded) == set()


def test_another_kind_of_broker_is_not_asked(aiida_profile, monkeypatch):
    monkeypatch.setattr(type(aiida_profile), "process_control_backend", "core.rabbitmq")
    assert broker.queued(aiida_profile) is None


def test_workers_that_are_older_than_their_broker_are_restarted(campaign, daemon, monkeypatch):
    asked = []
    monkeypatch.setattr(DaemonClient, "restart_daemon", lambda _, **given: asked.append(given))
    monkeypatch.setattr(upkeep, "broker_of", lambda _: Started(1000.0))
    daemon.when = 999.0  # they start together
    for listeners in (1, upkeep.math.inf):
        monkeypatch.setattr(upkeep, "_listeners", lambda _, n=listeners: n)
        upkeep.look_after([campaign])
    assert asked == []
    monkeypatch.setattr(upkeep, "_listeners", lambda _: 0)  # it found the socket of a dead one
    upkeep.look_after([campaign])
    assert len(asked) == 1
    monkeypatch.setattr(upkeep, "broker_of", lambda _: Started(upkeep.time.time() - 60.0))
    daemon.when = upkeep.time.time() - 55.0  # it may still be at its imports
    upkeep.look_after([campaign])
    assert asked == asked[:1]
    monkeypatch.setattr(upkeep, "broker_of", lambda _: Started(1000.0))
    asked.clear()
    daemon.when = 900.0
    (line, *_) = upkeep.look_after([campaign])
    assert "the workers had lost the broker; they were restarted" in line
    assert asked == [{"wait": True, "timeout": 120}]


def test_status_takes_up_and_says_so(campaign, child, daemon, server, monkeypatch):
    monkeypatch.setattr("aiida_trainspot.runtime.daemon.stall", lambda _: None)
    monkeypatch.setattr("aiida_trainspot.runtime.daemon.watch_over", lambda _: True)
    result = CliRunner().invoke(main, ["status", "silicon", "--json"])
    assert f"note: TrainingWorkChain <{child.pk}> had lost its task" in result.stderr
    assert tasks(server) == [child.pk]


def test_the_broker_counts_who_listens(server, embedded):
    assert upkeep._listeners(embedded) == upkeep.math.inf  # it has not written its status
    layout = ZeromqBrokerService.FilepathLayout(
        get_config().filepaths(embedded)["broker_service"]["dir"]
    )
    layout.status_file.write_text(json.dumps(server.get_status()))
    assert upkeep._listeners(embedded) == 0


# ── the watchdog ──────────────────────────────────────────────────────────────
def test_the_watchdog_looks_until_its_supervisor_is_gone(monkeypatch):
    parents = iter([7, 7, 7, 1])
    looks, pauses = [], []
    monkeypatch.setattr(watchdog.os, "getppid", lambda: next(parents))
    monkeypatch.setattr(watchdog.time, "sleep", pauses.append)
    monkeypatch.setattr(watchdog, "look_once", looks.append)
    watchdog.main("p")
    assert looks == ["p", "p"]
    assert pauses == [30.0, 30.0]


def test_a_broker_that_does_not_answer_is_tried_again_later(campaign, child, daemon, monkeypatch):
    def fail(*_):
        raise TimeoutError

    monkeypatch.setattr(upkeep, "_take_up", fail)
    assert upkeep.look_after(open_campaigns()) == []
