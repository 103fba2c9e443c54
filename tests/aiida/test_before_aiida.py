"""Which profile a command works with is settled before AiiDA is imported."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import pytest

COMMANDS = sorted({point.module for point in entry_points(group="trainspot.commands")})


@pytest.mark.parametrize(
    "module", [*COMMANDS, "aiida_trainspot.setup", "aiida_trainspot.runtime.profile"]
)
def test_importing_it_does_not_import_aiida(module):
    """AiiDA reads ``AIIDA_PATH`` once, when it is imported."""
    code = f"import sys, {module}; sys.exit('aiida.manage' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
