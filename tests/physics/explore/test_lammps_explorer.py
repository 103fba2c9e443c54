"""Decks run in the real LAMMPS: the same physics as ASE, the right elements, axes and frames."""

from __future__ import annotations

import numpy as np
import pytest
from ase.data import atomic_masses
from pydantic import ValidationError
from vesin import NeighborList

from trainspot.common.errors import InputError
from trainspot.common.units import BAR_PER_KBAR, EV_PER_A3_IN_KBAR
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Labels
from trainspot.explore import deck, driver
from trainspot.explore.box import LammpsBox
from trainspot.explore.dispersion import d2_pair
from trainspot.explore.lammps import LammpsExplorer, LammpsSettings, latest_restart
from trainspot.models import potential
from trainspot.models.calculator import PotentialCalculator

pytestmark = pytest.mark.engine


@pytest.fixture
def lammps(tmp_path, monkeypatch, capfd, lj):
    """Runs decks through the driver with the Lennard-Jones potential; returns the output."""
    monkeypatch.chdir(tmp_path)

    class Runner:
        directory, model, failures = tmp_path, lj, ()

        def __call__(self, frames, runs, settings=None, restarts=None):
            starts = Dataset.from_frames(frames)
            settings = settings or LammpsSettings()
            files = LammpsExplorer.inputs(starts, runs, settings, "model", "lj", restarts)
            for name, text in files.items():
                (tmp_path / name).write_text(text)
            return self.deck()

        def deck(self, *arguments):
            monkeypatch.setattr(potential, "load", lambda *_, **__: self.model)
            capfd.readouterr()
            self.failures = driver.run(["-in", "input.in", "-log", "none", *arguments])
            output = capfd.readouterr().out
            (tmp_path / "lammps.out").write_text(output)
            return output

    return Runner()


def _thermo(output):
    """Thermodynamic rows: step temp pe ke etotal press vol."""
    rows = [line.split() for line in output.splitlines()]
    return np.array([r for r in rows if len(r) == 7 and r[0].isdigit()], dtype=float)


def test_energy_and_pressure_are_those_of_ase(lammps, mixed, one_run, lj):
    run = one_run(mixed, ensemble="nve", time=0.02)
    start = _thermo(lammps([mixed], [run]))[0]
    atoms = mixed.to_atoms()
    atoms.calc = PotentialCalculator(lj)
    assert start[2] == pytest.approx(atoms.get_potential_energy(), rel=1e-7)
    assert start[1] == pytest.approx(run.temperature, rel=1e-6)  # velocities are drawn at T
    assert start[6] == pytest.approx(atoms.get_volume(), rel=1e-7)
    virial = -np.trace(atoms.get_stress(voigt=False)) / 3
    pressure = virial + 2 / 3 * start[3] / start[6]  # and the kinetic part
    assert start[5] == pytest.approx(pressure * EV_PER_A3_IN_KBAR * BAR_PER_KBAR, rel=1e-7)


def test_forces_are_those_of_ase_on_the_right_elements(lammps, mixed, one_run, lj):
    run = one_run(mixed, ensemble="nve", time=0.02)
    files = LammpsExplorer.inputs(
        Dataset.from_frames([mixed]), [run], LammpsSettings(), "model", "lj"
    )
    columns = "dump f all custom 1 forces.dump id type mass fx fy fz\n"
    columns += 'dump_modify f sort id format float %.15g\nrun 0\nprint "done"\n'
    head = files["input.in"].partition("dump frames")[0]
    (lammps.directory / "input.in").write_text(head + columns)
    (lammps.directory / deck.names_of(run).data).write_text(files[deck.names_of(run).data])
    lammps.deck()
    table = np.loadtxt(lammps.directory / "forces.dump", skiprows=9)
    assert np.allclose(table[:, 2], atomic_masses[mixed.numbers], rtol=1e-10)
    atoms = mixed.to_atoms()
    atoms.calc = PotentialCalculator(lj)
    expected = atoms.get_forces() @ LammpsBox.of(mixed).rotation.T
    assert np.abs(table[:, 3:] - expected).max() < 1e-7 * np.abs(expected).max()


def test_nve_conserves_energy(lammps, argon, one_run):
    rows = _thermo(lammps([argon], [one_run(argon, ensemble="nve", time=0.5)]))
    assert np.ptp(rows[:, 4]) < 2e-3 * rows[0, 3]
    assert rows[-1, 0] == 500


def test_frames_of_a_skewed_left_handed_cell_come_back(lammps, mixed, one_run, lj):
    run = one_run(mixed, pressure=2.0)
    rows = _thermo(lammps([mixed], [run]))
    kept, failure = LammpsExplorer.frames(lammps.directory, mixed, run)
    assert failure is None
    assert [frame.origin.parameters["step"] for frame in kept] == [20, 40, 60, 80, 100]
    assert kept[0].origin.parent == mixed.id
    for frame, row in zip(kept, rows[1:], strict=True):
        assert np.array_equal(frame.numbers, mixed.numbers)
        atoms = frame.to_atoms()
        atoms.calc = PotentialCalculator(lj)
        assert atoms.get_potential_energy() == pytest.approx(row[2], rel=1e-7)
        assert atoms.get_volume() == pytest.approx(row[6], rel=1e-7)
    # Atoms keep their places and the cell its setting: nothing was rotated or wrapped.
    assert np.abs(kept[0].positions - mixed.positions).max() < 0.5
    assert np.abs(kept[0].cell - mixed.cell).max() < 0.5


def test_the_barostat_leaves_the_vacuum_alone(lammps, sheet, one_run):
    run = one_run(sheet, pressure=4.0)
    output = lammps([sheet], [run])
    assert "fix integrate all npt" in (lammps.directory / "input.in").read_text()
    assert "trainspot end" in output
    kept, failure = LammpsExplorer.frames(lammps.directory, sheet, run)
    assert failure is None
    dump = (lammps.directory / deck.names_of(run).dump).read_text().splitlines()
    heights = {line for before, line in zip(dump, dump[2:], strict=False) if "BOX BOUNDS" in before}
    assert len(heights) == 1  # the y bounds never change
    assert np.array_equal(kept[-1].cell[1], sheet.cell[1])
    assert np.abs(kept[-1].cell[0] - sheet.cell[0]).max() > 1e-4
    assert list(kept[-1].pbc) == [True, False, True]


def test_a_cluster_without_a_cell(lammps, cluster, one_run):
    run = one_run(cluster)
    lammps([cluster], [run])
    kept, failure = LammpsExplorer.frames(lammps.directory, cluster, run)
    assert failure is None
    assert len(kept) == 5
    assert not kept[-1].cell.any()
    middle = kept[-1].positions.mean(axis=0)
    assert np.allclose(middle, cluster.positions.mean(axis=0), atol=1e-6)


def test_several_runs_in_one_deck(lammps, argon, mixed, one_run):
    runs = [one_run(argon), one_run(mixed)]
    lammps([argon, mixed], runs)
    assert not lammps.failures
    for frame, run in zip((argon, mixed), runs, strict=True):
        kept, failure = LammpsExplorer.frames(lammps.directory, frame, run)
        assert (len(kept), failure) == (5, None)
        assert kept[0].origin.parent == frame.id


def test_an_exploding_run_leaves_its_frames_and_the_next_run_goes_on(lammps, argon, one_run):
    class Bomb(type(lammps.model)):
        calls = 0

        def predict(self, prepared):
            self.calls += 1
            (labels,) = super().predict(prepared)
            strength = 1e3 if self.calls == 71 else 1.0
            return [Labels(labels.energy, labels.forces * strength, labels.stress)]

    lammps.model = Bomb()
    bad, good = one_run(argon), one_run(argon, seed=3, trajectory="b" * 32)
    lammps([argon], [bad, good])
    kept, failure = LammpsExplorer.frames(lammps.directory, argon, bad)
    assert len(kept) == 3
    assert failure.startswith("exploded after 0.07")
    assert LammpsExplorer.frames(lammps.directory, argon, good)[1] is None


def test_a_failing_model_ends_its_run_only(lammps, argon, one_run):
    class Broken(type(lammps.model)):
        calls = 0

        def predict(self, prepared):
            self.calls += 1
            if self.calls == 50:
                raise ZeroDivisionError("no $neighbours")
            return super().predict(prepared)

    lammps.model = Broken()
    bad, good = one_run(argon), one_run(argon, seed=3, trajectory="b" * 32)
    lammps([argon], [bad, good])
    assert len(lammps.failures) == 1
    kept, failure = LammpsExplorer.frames(lammps.directory, argon, bad)
    assert len(kept) == 2
    assert failure == "the model failed: ZeroDivisionError: no neighbours"
    assert LammpsExplorer.frames(lammps.directory, argon, good)[1] is None


def test_non_finite_predictions_end_the_run(lammps, argon, one_run):
    class Broken(type(lammps.model)):
        def predict(self, prepared):
            (labels,) = super().predict(prepared)
            return [Labels(labels.energy, labels.forces * np.inf, labels.stress)]

    lammps.model = Broken()
    lammps([argon], [run := one_run(argon)])
    kept, failure = LammpsExplorer.frames(lammps.directory, argon, run)
    assert not len(kept)
    assert "non-finite" in failure


def test_a_run_continues_from_its_restart(lammps, argon, one_run):
    run = one_run(argon)
    lammps([argon], [run])
    whole, _ = LammpsExplorer.frames(lammps.directory, argon, run)
    restart = lammps.directory / deck.names_of(run).restart.replace("*", "60")
    for step in (80, 100):
        (lammps.directory / deck.names_of(run).restart.replace("*", str(step))).unlink()
    assert latest_restart(lammps.directory, run) == (restart, 60)
    restart.rename(lammps.directory / "before.restart")
    output = lammps([argon], [run], restarts={run.trajectory: "before.restart"})
    assert "velocity" not in (lammps.directory / "input.in").read_text()
    rest, failure = LammpsExplorer.frames(lammps.directory, argon, run)
    assert failure is None
    assert _thermo(output)[0, 0] == 60
    steps = [frame.origin.parameters["step"] for frame in rest]
    assert steps[-2:] == [80, 100]
    assert np.allclose(rest[-1].positions, whole[-1].positions, atol=1e-4)


def test_a_half_written_restart_is_not_used(lammps, argon, one_run):
    run = one_run(argon)
    lammps([argon], [run])
    newest, step = latest_restart(lammps.directory, run)
    assert step == 100
    newest.write_bytes(newest.read_bytes()[:-40])
    assert latest_restart(lammps.directory, run)[1] == 80


@pytest.mark.parametrize("cut", ["end marker", "half a frame"])
def test_truncated_output_is_no_success(lammps, argon, one_run, cut):
    run = one_run(argon)
    output = lammps([argon], [run])
    (lammps.directory / "lammps.out").write_text(output.partition(deck.END)[0])
    if cut == "half a frame":
        dump = lammps.directory / deck.names_of(run).dump
        dump.write_text(dump.read_text()[:-30])
    kept, failure = LammpsExplorer.frames(lammps.directory, argon, run)
    assert failure == "cut off before its end"
    assert len(kept) == (4 if cut == "half a frame" else 5)


@pytest.mark.parametrize("kind", ["d2", "d3"])
def test_dispersion_adds_to_the_model(lammps, argon, one_run, kind):
    run = one_run(argon, ensemble="nve", time=0.02)
    bare = _thermo(lammps([argon], [run]))[0]
    more = _thermo(lammps([argon], [run], LammpsSettings(dispersion=kind)))[0]
    assert not lammps.failures
    assert more[2] < bare[2] - 0.1
    assert more[5] < bare[5]


def test_d2_is_the_formula_of_the_paper(lammps, mixed, one_run):
    run = one_run(mixed, ensemble="nve", time=0.02)
    bare = _thermo(lammps([mixed], [run]))[0, 2]
    more = _thermo(lammps([mixed], [run], LammpsSettings(dispersion="d2")))[0, 2]
    neighbours = NeighborList(cutoff=20.0, full_list=True)
    i, j, r = neighbours.compute(
        points=mixed.positions, box=mixed.cell, periodic=mixed.pbc, quantities="ijd"
    )
    symbols = mixed.to_atoms().get_chemical_symbols()
    pairs = {(a, b): d2_pair(a, b) for a in set(symbols) for b in set(symbols)}
    c6, radius = np.array([pairs[symbols[a], symbols[b]] for a, b in zip(i, j, strict=True)]).T
    damping = 1 / (1 + np.exp(-20.0 * (r / radius - 1)))
    assert more - bare == pytest.approx(-0.5 * 0.75 * (c6 / r**6 * damping).sum(), rel=1e-5)


def test_a_lammps_that_knows_the_model_needs_no_driver(lammps, argon, one_run):
    run = one_run(argon, ensemble="nve", time=0.02)
    own = {"pair_style": "lj/cut 5.0", "pair_coeff": "0.01 2.2"}
    bare = _thermo(lammps([argon], [run], LammpsSettings(**own)))[0, 2]
    more = _thermo(lammps([argon], [run], LammpsSettings(**own, dispersion="d2")))[0, 2]
    text = (lammps.directory / "input.in").read_text()
    assert not lammps.failures
    assert deck.DIRECTIVE + " " not in text
    assert "pair_style hybrid/overlay lj/cut 5.0 momb" in text
    assert more < bare - 0.1
    assert LammpsExplorer.frames(lammps.directory, argon, run)[1] is None


def test_the_pair_style_gets_model_and_elements(mixed, one_run):
    settings = LammpsSettings(pair_style="mace", dispersion="d3")
    text = LammpsExplorer.inputs(
        Dataset.from_frames([mixed]), [one_run(mixed)], settings, "a.model", "mace"
    )["input.in"]
    assert "pair_coeff * * mace a.model C O Si Ar\n" in text
    assert "pair_coeff * * dispersion/d3 C O Si Ar\n" in text
    with pytest.raises(ValidationError, match=r"only \{model\}"):
        LammpsSettings(pair_coeff="{potential}")


def test_d2_has_no_coefficients_beyond_xenon():
    with pytest.raises(InputError, match=r"no coefficients for Au.*dispersion: d3"):
        d2_pair("H", "Au")
