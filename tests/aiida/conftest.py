"""Fixtures of the tests that need an AiiDA profile (a temporary one, made for the run)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from aiida.manage import get_manager
from aiida.orm import Data, InstalledCode
from aiida.tools.pytest_fixtures import *  # noqa: F403  (pytest finds fixtures by name)

from aiida_trainspot.data.pes import PESData


@pytest.fixture
def aiida_localhost(aiida_computer_local):
    """This machine without AiiDA's pauses: as ``trainspot setup`` makes it."""
    computer = aiida_computer_local(label="localhost")
    computer.configure(use_login_shell=False, safe_interval=0.0)
    computer.set_minimum_job_poll_interval(0.1)
    return computer


@pytest.fixture(autouse=True)
def patient_runner(aiida_profile):
    """A runner that asks for its children ten times a second, not in a busy loop.

    A test profile polls without a pause, which takes the processor from the jobs it waits for.
    """
    manager = get_manager()
    manager.set_runner(manager.create_runner(poll_interval=0.1))
    yield
    manager.reset_runner()


@pytest.fixture
def ours(aiida_profile_clean, aiida_localhost):
    """A code that stands for all programs of ours."""
    return InstalledCode(
        label="ours", computer=aiida_localhost, filepath_executable="/bin/true"
    ).store()


@dataclass(frozen=True)
class Writes:
    """What a process and those it called have put into the database.

    Attributes:
        processes: How many of each kind, without the process itself.
        data: Likewise nodes of data, inputs included.
        datasets: The datasets, and under which names processes put them out.
    """

    processes: Counter
    data: Counter
    datasets: dict[PESData, set[str]]

    @property
    def nodes(self) -> int:
        return self.processes.total() + self.data.total()

    @property
    def frames(self) -> int:
        """Frames stored, as often as they are."""
        return sum(map(len, self.datasets))

    def nodes_of_frames(self, without=()) -> Counter:
        """In how many datasets each frame stands, but for those put out under some names."""
        kept = [node for node, names in self.datasets.items() if not names & set(without)]
        return Counter(identity for node in kept for identity in node.ids)


@pytest.fixture
def writes_of():
    """Counts what a process has written."""

    def count(process) -> Writes:
        called = process.called_descendants
        data = {}
        for one in (process, *called):
            links = one.base.links
            for entry in (*links.get_incoming(Data).all(), *links.get_outgoing(Data).all()):
                data[entry.node.pk] = entry.node
        datasets = {
            node: set(node.base.links.get_incoming().all_link_labels())
            for node in data.values()
            if isinstance(node, PESData)
        }
        return Writes(
            Counter(one.process_label for one in called),
            Counter(type(node).__name__ for node in data.values()),
            datasets,
        )

    return count


@pytest.fixture
def toys() -> dict:
    """The stages of a campaign whose programs are all ``ours``."""
    return {
        "label": {"engine": "ase", "calculator": "emt", "code": "ours@localhost"},
        "train": {"engine": "toy", "code": "ours@localhost"},
        "explore": {"engine": "ase", "code": "ours@localhost"},
        "evaluate": {"code": "ours@localhost"},
    }
