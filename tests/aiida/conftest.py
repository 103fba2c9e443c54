"""Fixtures of the tests that need an AiiDA profile (a temporary one, made for the run)."""

from __future__ import annotations

import pytest
from aiida.manage import get_manager
from aiida.orm import InstalledCode
from aiida.tools.pytest_fixtures import *  # noqa: F403  (pytest finds fixtures by name)


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


@pytest.fixture
def toys() -> dict:
    """The stages of a campaign whose programs are all ``ours``."""
    return {
        "label": {"engine": "ase", "calculator": "emt", "code": "ours@localhost"},
        "train": {"engine": "toy", "code": "ours@localhost"},
        "explore": {"engine": "ase", "code": "ours@localhost"},
        "evaluate": {"code": "ours@localhost"},
    }
