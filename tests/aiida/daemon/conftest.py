"""A broker of the tests' own where that of the loaded profile would be, and its daemon's files."""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from aiida.brokers.zeromq.server import ZeromqBrokerServer
from aiida.brokers.zeromq.service import PID_SENTINEL, ZeromqBrokerService
from aiida.manage import get_config
from aiida.orm import WorkChainNode
from plumpy import ProcessState

PATIENCE = 60.0  # s; for another process on a busy machine


class Server(ZeromqBrokerServer):
    """The broker, in a thread. Its first look at the workers can be made to see nothing."""

    looks = 0
    too_early = False

    def _probe_workers(self) -> None:
        self.looks += 1
        if not (self.too_early and self.looks == 1):
            super()._probe_workers()

    def until(self, reached) -> None:
        end = time.monotonic() + PATIENCE
        while not reached():
            assert time.monotonic() < end, self.get_status()
            time.sleep(0.02)


@pytest.fixture
def embedded(aiida_profile, monkeypatch):
    """The profile, as if it had the embedded broker."""
    monkeypatch.setattr(type(aiida_profile), "process_control_backend", "core.zeromq")
    return aiida_profile


@pytest.fixture
def server(embedded, tmp_path):
    """A broker where that of the loaded profile would be."""
    layout = ZeromqBrokerService.FilepathLayout(
        get_config().filepaths(embedded)["broker_service"]["dir"]
    )
    sockets = Path(os.path.relpath(tmp_path))  # the path of a socket must be short
    server = Server(layout.storage_path, sockets)
    server.start()
    stop = threading.Event()

    def serve():
        while not stop.is_set():
            server.run_once(0.05)

    thread = threading.Thread(target=serve)
    thread.start()
    layout.sockets_file.write_text(str(sockets))
    layout.pid_file.write_text(f"{PID_SENTINEL} {os.getpid()}")
    yield server
    stop.set()
    thread.join()
    server.stop()
    shutil.rmtree(layout.service_dir)


@pytest.fixture
def campaign(aiida_profile_clean):
    node = WorkChainNode(label="silicon")
    node.set_process_label("TrainsPotWorkChain")
    node.set_process_state(ProcessState.WAITING)
    return node.store()
