"""Programs that the engine tests run; a missing one is a failure, never a skip."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from aiida.tools.pytest_fixtures import *  # noqa: F403  (pytest finds fixtures by name)

from aiida_trainspot.profile import home
from aiida_trainspot.pseudo import generate
from aiida_trainspot.setup import programs


def _program(variable: str, program: programs.Program) -> Path:
    named = os.environ.get(variable)
    found = Path(named) if named else programs.locate(program, home())
    name = program.executable
    assert found, f"{name} not found: put it on PATH, name it in {variable}, or run trainspot setup"
    return found.absolute()


@pytest.fixture(scope="session")
def pwx() -> Path:
    """A working pw.x."""
    return _program("TRAINSPOT_PWX", programs.PW)


@pytest.fixture(scope="session")
def ld1x(pwx) -> Path:
    """A working ld1.x: beside pw.x, or found like it."""
    beside = pwx.with_name("ld1.x")
    return beside if beside.is_file() else _program("TRAINSPOT_LD1X", programs.LD1)


@pytest.fixture(scope="session")
def silicon_upf(ld1x, tmp_path_factory) -> Path:
    """The demonstration pseudopotential of silicon."""
    return generate("Si", [str(ld1x)], tmp_path_factory.mktemp("pseudo"))


@pytest.fixture(scope="session")
def tiny_mace() -> dict[str, Any]:
    """Settings of the smallest MACE that trains, in a second."""
    return {
        "r_max": 4.0,
        "num_channels": 2,
        "max_L": 0,
        "max_ell": 1,
        "correlation": 2,
        "num_radial_basis": 4,
        "MLP_irreps": "4x0e",
        "lr": 0.02,
        "batch_size": 100,
        "loss": "universal",
        "max_num_epochs": 3,
        "extra": {"radial_MLP": "[8]"},
    }
