"""The wall: the science runs without AiiDA, and the layers hold."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

# Runs in a process of its own, where AiiDA and our shell cannot be imported.
IMPORT_EVERYTHING = """
import importlib, importlib.abc, pkgutil, sys

class Wall(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0].startswith("aiida"):
            raise ModuleNotFoundError(f"blocked: {name}", name=name)

sys.meta_path.insert(0, Wall())
import trainspot
names = [m.name for m in pkgutil.walk_packages(trainspot.__path__, "trainspot.")]
for name in names:
    importlib.import_module(name)
assert not [m for m in sys.modules if m.partition(".")[0].startswith("aiida")]
print(len(names))
"""


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_all_of_the_science_imports_with_aiida_blocked():
    done = run(sys.executable, "-W", "error::ImportWarning", "-c", IMPORT_EVERYTHING)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 60  # the walk found the stages, not just the top


def test_the_layers_hold():
    linter = str(Path(sys.executable).with_name("lint-imports"))
    done = run(linter, "--no-cache", "--config", "pyproject.toml")
    assert done.returncode == 0, done.stdout


def test_the_version_is_the_distributions():
    from importlib.metadata import version

    import trainspot

    assert trainspot.__version__ == version("trainspot")
