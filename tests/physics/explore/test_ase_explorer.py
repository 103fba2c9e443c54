"""Molecular dynamics through ASE: conservation, ensembles, determinism, explosions."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units

from trainspot.data.dataset import Dataset
from trainspot.data.frames import Labels
from trainspot.explore.ase import AseExplorer, AseSettings
from trainspot.models.calculator import PotentialCalculator


@pytest.fixture
def explore(lj):
    def run(frame, run, **kw):
        return AseExplorer.run(Dataset.from_frames([frame]), [run], lj, **kw)

    return run


def test_nve_conserves_energy(explore, argon, one_run):
    energies = []

    def keep(_, atoms):
        energies.append(atoms.get_total_energy())

    run = one_run(argon, ensemble="nve", time=0.5, timestep=1.0)
    explore(argon, run, on_frame=keep)
    kinetic = 1.5 * units.kB * run.temperature * len(argon)
    assert np.ptp(energies) < 2e-3 * kinetic
    assert len(energies) == 25


def test_nvt_holds_the_temperature(explore, argon, one_run):
    temperatures = []
    run = one_run(argon, ensemble="nvt", time=1.2, sample=0.01, temperature=80.0)
    settings = AseSettings(thermostat_time=50.0)
    explore(
        argon,
        run,
        settings=settings,
        on_frame=lambda _, atoms: temperatures.append(atoms.get_temperature()),
    )
    assert abs(np.mean(temperatures[20:]) - 80.0) < 15.0


def test_npt_reaches_the_pressure_and_keeps_the_vacuum(explore, sheet, one_run):
    run = one_run(sheet, pressure=3.0, time=0.1)
    result = explore(sheet, run)
    assert run.barostat == (True, False, True)
    last = result.explored[-1]
    assert np.array_equal(last.cell[1], sheet.cell[1])
    assert not np.allclose(last.cell[[0, 2]], sheet.cell[[0, 2]], atol=1e-4)
    assert list(last.pbc) == [True, False, True]


def test_frames_carry_their_origin(explore, argon, one_run):
    run = one_run(argon, pressure=1.5, iteration=3)
    explored = explore(argon, run).explored
    assert len(explored) == 5
    origin = explored[1].origin
    assert (origin.strategy, origin.parent, origin.trajectory) == ("md", argon.id, run.trajectory)
    assert (origin.seed, origin.iteration) == (run.seed, 3)
    assert origin.parameters == {
        "temperature": run.temperature,
        "pressure": 1.5,
        "ensemble": "npt",
        "step": 40,
        "time": pytest.approx(0.04),
    }
    assert not explored.is_labelled.any()
    assert argon.id not in explored.ids


def test_same_seed_same_frames(explore, mixed, one_run):
    run = one_run(mixed, ensemble="nvt")
    assert explore(mixed, run).explored.ids == explore(mixed, run).explored.ids
    other = one_run(mixed, ensemble="nvt", seed=12)
    assert explore(mixed, run).explored.ids != explore(mixed, other).explored.ids


def test_a_cluster_without_a_cell_keeps_none(explore, cluster, one_run):
    last = explore(cluster, one_run(cluster)).explored[-1]
    assert not last.cell.any()
    assert not last.pbc.any()


def test_an_exploding_run_keeps_its_usable_frames(argon, one_run, lj):
    class Bomb(type(lj)):
        """Fails after some steps, as an extrapolating model would."""

        calls = 0

        def predict(self, prepared):
            self.calls += 1
            (labels,) = super().predict(prepared)
            return [labels if self.calls < 70 else Labels(labels.energy, labels.forces * 1e6)]

    good = one_run(argon, ensemble="nve", seed=5, trajectory="good")
    bad = one_run(argon, ensemble="nve")
    result = AseExplorer.run(Dataset.from_frames([argon]), [bad, good], Bomb())
    assert {"good"} != set(result.explored.counts("trajectory"))
    assert result.explored.counts("trajectory")[bad.trajectory] == 3
    assert len(result.failures) == 2
    failure = result.failures[0].info["failure"]
    assert result.failures[0].id == argon.id
    assert "exploded after" in failure["reason"]
    assert failure["exit_status"] is None
    assert failure["trajectory"] == bad.trajectory


def test_non_finite_predictions_end_a_run(argon, one_run, lj):
    class Broken(type(lj)):
        def predict(self, prepared):
            (labels,) = super().predict(prepared)
            return [Labels(labels.energy, labels.forces * np.nan, labels.stress)]

    result = AseExplorer.run(Dataset.from_frames([argon]), [one_run(argon)], Broken())
    assert not len(result.explored)
    assert "non-finite" in result.failures[0].info["failure"]["reason"]


def test_the_calculator_gives_analytic_forces_and_stress(mixed, lj):
    from ase.calculators.fd import calculate_numerical_forces, calculate_numerical_stress

    atoms = mixed.to_atoms()
    atoms.calc = PotentialCalculator(lj)
    assert np.allclose(atoms.get_forces(), calculate_numerical_forces(atoms, eps=1e-4), atol=1e-5)
    assert np.allclose(atoms.get_stress(), calculate_numerical_stress(atoms, eps=1e-5), atol=1e-6)


def test_progress_is_told(explore, argon, one_run):
    told = []
    explore(argon, one_run(argon, time=0.02), progress=lambda *counts: told.append(counts))
    assert told == [(1, 1)]
