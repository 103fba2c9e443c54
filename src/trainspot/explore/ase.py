"""Molecular dynamics through ASE with any potential: deterministic, no program to install."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.nose_hoover_chain import MaskedMTKNPT
from ase.md.velocitydistribution import Stationary, thermalize_momenta
from ase.md.verlet import VelocityVerlet
from pydantic import Field, PositiveInt

from trainspot.common.errors import RunError, TrainspotError
from trainspot.common.seeds import generator
from trainspot.common.units import EV_PER_A3_IN_KBAR
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.explore.base import Explored, Explorer, MdSettings
from trainspot.explore.box import restored, working_cell
from trainspot.explore.frames import cut, failed
from trainspot.models.calculator import PotentialCalculator

if TYPE_CHECKING:
    from ase.md.md import MolecularDynamics

    from trainspot.explore.schedule import Run
    from trainspot.models.potential import Potential

CHECK_EVERY: Final = 10
"""Steps between two checks for an exploded run."""


class AseSettings(MdSettings):
    """Settings of the engine ``ase``."""

    runs_per_job: PositiveInt = Field(
        5, description="runs per job; starting a job takes longer than a short run"
    )


class AseExplorer(Explorer):
    """The engine ``ase``: velocity Verlet (nve), Langevin (nvt), Martyna-Tobias-Klein (npt).

    The barostat changes the length of each periodic cell vector independently; angles stay.
    """

    name: ClassVar[str] = "ase"
    Settings: ClassVar[type[AseSettings]] = AseSettings
    default_code: ClassVar[str] = "trainspot@localhost"
    runs_in_process: ClassVar[bool] = True

    @classmethod
    def run(
        cls,
        starts: Dataset,
        runs: Sequence[Run],
        model: Potential,
        settings: AseSettings | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
        on_frame: Callable[[Frame, Atoms], None] | None = None,
    ) -> Explored:
        """Run all runs, one after the other.

        Args:
            starts: Contains the start frame of every run.
            runs: The runs.
            model: Drives the dynamics.
            settings: Integration and limits.
            progress: Called after each run with the numbers of finished runs and of all runs.
            on_frame: Called with every kept frame and its live atoms, which have momenta, energy
                and forces.

        Returns:
            The explored frames, and a failure record for every run that did not reach its end.
        """
        settings = settings or AseSettings()
        rows = {identity: row for row, identity in enumerate(starts.ids)}
        kept: list[Frame] = []
        failures: list[Frame] = []
        for number, run in enumerate(runs, 1):
            start = starts[rows[run.start]]
            try:
                for atoms, step in trajectory(start, run, model, settings):
                    cell = restored(start, atoms.cell.array)
                    kept.append(cut(start, run, atoms.positions, cell, step))
                    if on_frame is not None:
                        on_frame(kept[-1], atoms)
            except TrainspotError as error:
                failures.append(failed(start, run, str(error)))
            except Exception as error:  # noqa: BLE001  (an error of the model ends this run only)
                failures.append(failed(start, run, f"{type(error).__name__}: {error}"))
            if progress is not None:
                progress(number, len(runs))
        return Explored(Dataset.from_frames(kept), Dataset.from_frames(failures))


def trajectory(
    start: Frame, run: Run, model: Potential, settings: MdSettings
) -> Iterator[tuple[Atoms, int]]:
    """Integrate one run and yield the (live) atoms and the step at every kept frame.

    Raises:
        RunError: The run exploded, or the model predicted non-finite values.
    """
    atoms = start.to_atoms()
    atoms.set_cell(working_cell(start))
    atoms.calc = PotentialCalculator(model)
    rng = generator(run.seed, "ase", "velocities")
    thermalize_momenta(atoms, run.temperature, exact_temperature=True, rng=rng)
    Stationary(atoms, preserve_temperature=True)
    dynamics = _dynamics(atoms, run, settings)
    volume = atoms.get_volume()
    step = 0
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        while step < run.steps:
            stride = min(CHECK_EVERY, run.every - step % run.every)
            dynamics.run(stride)
            step += stride
            _check(atoms, run, settings, volume, step)
            if step % run.every == 0:
                yield atoms, step


def _dynamics(atoms: Atoms, run: Run, settings: MdSettings) -> MolecularDynamics:
    timestep = run.timestep * units.fs
    if run.ensemble == "nve":
        return VelocityVerlet(atoms, timestep)
    if run.ensemble == "nvt":
        return Langevin(
            atoms,
            timestep,
            temperature_K=run.temperature,
            friction=1.0 / (settings.thermostat_time * units.fs),
            fixcm=False,
            rng=generator(run.seed, "ase", "thermostat"),
        )
    return MaskedMTKNPT(
        atoms,
        timestep,
        temperature_K=run.temperature,
        pressure_au=run.pressure / EV_PER_A3_IN_KBAR,
        tdamp=settings.thermostat_time * units.fs,
        pdamp=settings.barostat_time * units.fs,
        mask=np.array(run.barostat),  # a tuple of bools would not act as a mask
    )


def _check(atoms: Atoms, run: Run, settings: MdSettings, volume: float, step: int) -> None:
    """Stop a run that has exploded, before its neighbour lists grow without bound."""
    time = f"after {step * run.timestep / 1000:g} ps"
    temperature = atoms.get_temperature()
    if not temperature <= settings.hottest(run.temperature):  # also catches nan
        raise RunError(f"exploded {time}: temperature {temperature:.3g} K")
    ratio = atoms.get_volume() / volume
    if not 1 / settings.max_volume_ratio <= ratio <= settings.max_volume_ratio:
        raise RunError(f"exploded {time}: volume times {ratio:.3g}")
