"""Workers that die unnoticed: a real broker, real connections, a look that comes too early."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager

import pytest
from aiida.brokers.zeromq.broker import ZeromqBroker
from aiida.brokers.zeromq.communicator import ZeromqCommunicator
from click.testing import CliRunner
from plumpy import ProcessState

from aiida_trainspot.cli import _watch
from aiida_trainspot.runtime.broker import knock
from trainspot.cli import main

WORKER = """
import sys, time
from concurrent.futures import Future
from aiida.brokers.zeromq.communicator import ZeromqCommunicator
worker = ZeromqCommunicator(sys.argv[1])
worker.start()
def take(_, task):
    print(task, flush=True)
    return Future()  # it is never done
worker.add_task_subscriber(take)
time.sleep(600)
"""


@contextmanager
def worker(server):
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, server.router_endpoint], stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_task_of_a_worker_whose_death_was_missed_is_taken_up_by_another(server):
    with ZeromqCommunicator(server.router_endpoint) as client, worker(server) as first:
        client.task_send("work")
        assert first.stdout.readline() == "work\n"
        server.too_early = True
        first.kill()
        server.until(lambda: server.looks == 1)
        with worker(server) as second:
            server.until(lambda: server.get_status()["task_subscribers"] == 2)
            assert server.get_status()["pending_tasks"] == 0  # the dead one is thought to work
            knock()
            assert second.stdout.readline() == "work\n"
            server.until(lambda: server.get_status()["task_subscribers"] == 1)


def test_a_worker_that_lives_keeps_its_task(server):
    with ZeromqCommunicator(server.router_endpoint) as client, worker(server) as only:
        client.task_send("work")
        assert only.stdout.readline() == "work\n"
        knock()
        server.until(lambda: server.looks == 1)
        assert server.get_status()["in_flight_tasks"] == 1
        assert server.get_status()["pending_tasks"] == 0


@pytest.mark.parametrize("backend", [None, "core.rabbitmq", "core.zeromq"])
def test_nothing_is_waited_for_where_no_such_broker_runs(backend, aiida_profile, monkeypatch):
    monkeypatch.setattr(type(aiida_profile), "process_control_backend", backend)
    monkeypatch.setattr(ZeromqBroker, "get_communicator", forbidden)
    knock()


@pytest.mark.parametrize("error", [ConnectionError, TimeoutError])
def test_a_broker_that_is_stopping_is_no_error(error, server, monkeypatch):
    def fail(_):
        raise error("did not become ready")

    monkeypatch.setattr(ZeromqBroker, "get_communicator", fail)
    knock()
    assert not server.looks


def forbidden(*_):
    pytest.fail("connected to a broker")


@pytest.mark.parametrize(
    "command", [["status"], ["status", "silicon"], ["status", "silicon", "-w"]]
)
def test_whoever_looks_at_a_running_campaign_knocks(command, campaign, server, monkeypatch):
    def end(_):
        campaign.set_process_state(ProcessState.FINISHED)
        campaign.set_exit_status(0)

    monkeypatch.setattr(_watch.time, "sleep", end)
    server._task_worker_assignments["a task"] = b"nobody"
    assert CliRunner().invoke(main, command).exit_code == 0
    server.until(lambda: server.looks)
    end(0)
    monkeypatch.setattr(ZeromqBroker, "get_communicator", forbidden)
    assert CliRunner().invoke(main, command).exit_code == 0


def test_watching_looks_at_the_workers_again_and_again_but_not_at_each_look(campaign, monkeypatch):
    looks, knocks = [], []

    def sleep(_):
        looks.append(len(looks))
        if len(looks) == 31:
            campaign.set_process_state(ProcessState.FINISHED)
            campaign.set_exit_status(0)

    monkeypatch.setattr(_watch.time, "sleep", sleep)
    monkeypatch.setattr(_watch, "attend", lambda _: knocks.append(len(looks)))
    assert _watch.watch(campaign) == 0
    assert knocks == [0, 15, 30]
