"""The estimate of pw.x's memory against the one that pw.x prints."""

from __future__ import annotations

import re
import subprocess

import pytest
from ase.build import bulk

from trainspot.data.frames import Frame
from trainspot.label.pw_memory import memory
from trainspot.label.quantumespresso import QuantumEspressoSettings

pytestmark = pytest.mark.engine

UNITS = {"MB": 1e-3, "GB": 1.0}


def printed(pwx, written) -> float:
    """What pw.x says it needs for an input, GB; it is stopped before it does anything."""
    folder = written.parent
    with (
        written.open() as stdin,
        subprocess.Popen([pwx], stdin=stdin, stdout=subprocess.PIPE, text=True, cwd=folder) as run,
    ):
        try:
            for line in run.stdout:
                found = re.search(
                    r"Estimated max dynamical RAM per process >\s*([\d.]+) (\wB)", line
                )
                if found:
                    return float(found[1]) * UNITS[found[2]]
        finally:
            run.kill()
    raise AssertionError("pw.x did not say")


@pytest.mark.parametrize(
    ("repeat", "cutoffs", "mesh"),
    [
        ((2, 2, 2), (30, 240), (2, 2, 2)),
        ((2, 2, 2), (16, 64), (1, 1, 1)),
        ((3, 3, 2), (30, 240), (2, 2, 2)),
    ],
)
def test_the_estimate_is_near(repeat, cutoffs, mesh, pwx, write_pw, tmp_path):
    frame = Frame.from_atoms(bulk("Si", cubic=True) * repeat)
    settings = QuantumEspressoSettings(
        ecutwfc=cutoffs[0],
        ecutrho=cutoffs[1],
        kpoints_mesh=mesh,
        kpoints_offset=(1, 1, 1),
        nosym=True,
    )
    said = printed(pwx, write_pw(frame, settings, tmp_path))
    assert 0.7 < memory(frame, settings, {"Si": 4.0}) / said < 1.4
