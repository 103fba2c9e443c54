"""The estimate of pw.x's memory against the one that pw.x prints."""

from __future__ import annotations

import re
import subprocess

import pytest
from ase.build import bulk
from ase.io.espresso import write_espresso_in

from trainspot.data.frames import Frame
from trainspot.label.pw_memory import memory
from trainspot.label.quantumespresso import QuantumEspressoLabelEngine, QuantumEspressoSettings

pytestmark = pytest.mark.engine

UNITS = {"MB": 1e-3, "GB": 1.0}


def printed(pwx, upf, frame, settings, folder) -> float:
    """What pw.x says it needs, GB; it is stopped before it does anything."""
    parameters = QuantumEspressoLabelEngine.inputs(frame, settings).parameters
    files = {"pseudo_dir": str(upf.parent), "outdir": str(folder), "prefix": "x"}
    parameters = {**parameters, "CONTROL": {**parameters["CONTROL"], **files}}
    with (folder / "in").open("w") as handle:
        write_espresso_in(
            handle,
            frame.to_atoms(),
            input_data=parameters,
            pseudopotentials={"Si": upf.name},
            kpts=settings.kpoints_mesh,
            koffset=settings.kpoints_offset,
        )
    with (
        (folder / "in").open() as stdin,
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
def test_the_estimate_is_near(repeat, cutoffs, mesh, pwx, silicon_upf, tmp_path):
    frame = Frame.from_atoms(bulk("Si", cubic=True) * repeat)
    settings = QuantumEspressoSettings(
        ecutwfc=cutoffs[0],
        ecutrho=cutoffs[1],
        kpoints_mesh=mesh,
        kpoints_offset=(1, 1, 1),
        nosym=True,
    )
    said = printed(pwx, silicon_upf, frame, settings, tmp_path)
    assert 0.7 < memory(frame, settings, {"Si": 4.0}) / said < 1.4
