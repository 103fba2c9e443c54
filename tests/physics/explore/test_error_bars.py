"""Error bars in production: ``trainspot-lmp`` with an exported committee."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk

import trainspot
from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.descriptors import DescriptorSettings
from trainspot.explore.driver import parse
from trainspot.models.committee import CommitteePotential, Trust
from trainspot.models.novelty_file import write_domain
from trainspot.predictions.domain import Domain
from trainspot.testing.potential import check_potential
from trainspot.train.toy import ToySettings, fit

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def export(tmp_path_factory, lj):
    """Three toy models of one element and a calibration, as ``trainspot export`` lays them out."""
    frames = []
    for seed in range(8):
        atoms = bulk("Ar", "fcc", a=3.13, cubic=True) * (2, 1, 1)
        atoms.rattle(0.05, seed=seed)
        frame = Frame.from_atoms(atoms)
        (labels,) = lj.predict(lj.prepare([frame]))
        frames.append(frame.with_(labels=labels, split="train"))
    folder = tmp_path_factory.mktemp("export")
    (folder / "models").mkdir()
    for j in range(3):
        model, *_ = fit(Dataset.from_frames(frames), ToySettings(), j)
        model.save(folder / "models" / f"m{j}.toy")
    one = {"slope": 2.0, "sigma": 3.0, "threshold": 0.05, "fitted": True}
    content = {
        "format": "trainspot-calibration",
        "format_version": 1,
        "models": ["m0.toy", "m1.toy", "m2.toy"],
        "properties": {"forces": one, "energy": one | {"fitted": False}},
    }
    (folder / "calibration.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def run(tmp_path):
    """Runs a deck; what it needs of the environment it brings itself."""
    program = Path(sys.executable).with_name("trainspot-lmp")

    def call(words, *commands):
        deck = [
            f"# trainspot {words} elements=Ar",
            "units metal",
            "atom_style atomic",
            "atom_modify map array sort 0 0",
            "lattice fcc 3.13",
            "region box block 0 2 0 2 0 1",
            "create_box 1 box",
            "create_atoms 1 box",
            "mass 1 39.948",
            "displace_atoms all random 0.1 0.1 0.1 7",
            "pair_style zero 5.0 nocoeff",
            "pair_coeff * *",
            "velocity all create 40 5",
            "timestep 0.001",
            *commands,
        ]
        (tmp_path / "in.deck").write_text("\n".join(deck) + "\n")
        return subprocess.run(
            [program, "-in", "in.deck"],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


DUMP = (
    "dump all all custom 5 run.dump id element xu yu zu d_uncertainty",
    "dump_modify all sort id element Ar format float %.12g",
    "fix 1 all nve",
)


def test_bars_of_lammps_are_those_of_ase(run, export, tmp_path):
    done = run(f"model={export} uncertainty=bars.csv every=5", *DUMP, "run 12")
    assert (done.returncode, done.stderr) == (0, "")
    with (tmp_path / "bars.csv").open(newline="") as file:
        assert next(file) == "# not calibrated, raw disagreements: energy, stress\n"
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [0, 5, 10]
    images = ase.io.read(tmp_path / "run.dump", ":", format="lammps-dump-text")
    assert len(images) == 3
    with pytest.warns(UserWarning, match="bars of energy, stress are not calibrated"):
        calculator = trainspot.calculator(export)
    assert calculator.is_calibrated == {"energy": False, "forces": True, "stress": False}
    for row, atoms in zip(rows, images, strict=True):
        atoms.calc = calculator
        atoms.get_forces()
        bars = calculator.results["forces_uncertainty"]
        dumped = atoms.arrays["d_uncertainty"].ravel()
        np.testing.assert_allclose(dumped, bars, rtol=1e-4)
        assert float(row["forces"]) == pytest.approx(np.sqrt(np.mean(bars**2)), rel=1e-4)
        assert float(row["forces_max"]) == pytest.approx(bars.max(), rel=1e-4)
        energy = calculator.results["energy_uncertainty"] / len(atoms)
        assert float(row["energy"]) == pytest.approx(energy, rel=1e-3)
        assert float(row["threshold_ratio"]) == pytest.approx(
            calculator.results["threshold_ratio"], rel=1e-4
        )
        assert float(row["threshold_ratio"]) == pytest.approx(
            float(row["forces"]) / 3.0 / 0.05, rel=1e-3
        )
        assert list(row)[-2:] == ["excess", "novelty"], "columns are added at the end"
        assert row["excess"] == row["threshold_ratio"]


def test_a_run_ends_at_the_limit_and_what_follows_is_done(run, export, tmp_path):
    quiet = run(f"model={export} stop=1000", "fix 1 all nve", "run 3")
    assert "trainspot stopped" not in quiet.stdout
    done = run(
        f"model={export} uncertainty=bars.csv stop=1e-9",
        *DUMP, "run 50", "write_data end.data", "run 50", 'print "the end"',
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("trainspot stopped: step") == 1
    assert "beyond 1e-09 eV/A" in done.stdout
    assert "the end" in done.stdout
    assert (tmp_path / "end.data").is_file()
    rows = (tmp_path / "bars.csv").read_text().splitlines()
    assert len(rows) < 4, "the second run was not begun"


def test_novelty_is_computed_every_few_steps_and_bars_outside_are_not_numbers(
    run, export, tmp_path
):
    """The limits are so small, or so large, that all of the run is outside, or inside."""
    atoms = bulk("Ar", "fcc", a=3.13, cubic=True) * (2, 1, 1)
    training = Dataset.from_frames([Frame.from_atoms(atoms)])
    for name, limit in (("outside", 1e-6), ("inside", 10.0)):
        folder = tmp_path / name
        shutil.copytree(export, folder)
        limits = dict.fromkeys(("0D", "1D", "2D", "3D"), limit)
        write_domain(folder, Domain.of(training, DescriptorSettings(), limits, limits))
        done = run(f"model={name} uncertainty=bars.csv every=2 novelty=4", *DUMP, "run 9")
        assert (done.returncode, done.stderr) == (0, "")
        with (tmp_path / "bars.csv").open(newline="") as file:
            next(file)
            rows = list(csv.DictReader(file))
        assert [int(row["step"]) for row in rows] == [0, 2, 4, 6, 8]
        novelty = [row["novelty"] for row in rows]
        assert novelty[0] == novelty[1] != novelty[2] == novelty[3] != novelty[4]
        assert all((float(one) > 1.0) == (name == "outside") for one in novelty)
        assert all((float(row["threshold_ratio"]) > 1.0) for row in rows) or name == "inside"
        for column in ("energy", "forces", "forces_max", "stress"):
            assert [row[column] == "nan" for row in rows] == [name == "outside"] * 5
        images = ase.io.read(tmp_path / "run.dump", ":", format="lammps-dump-text")
        dumped = images[-1].arrays["d_uncertainty"]
        assert np.isnan(dumped).all() == (name == "outside")


def test_novelty_without_a_table_or_a_limit_is_refused():
    with pytest.raises(InputError, match="novelty= without uncertainty=FILE or stop=LIMIT"):
        parse("# trainspot model=x elements=Ar novelty=5\n", "deck")


def _recalibrated(export, folder, properties):
    """The same export with another calibration."""
    shutil.copytree(export, folder)
    content = json.loads((export / "calibration.json").read_text())
    (folder / "calibration.json").write_text(json.dumps(content | {"properties": properties}))
    return folder


def test_raw_disagreements_are_called_so_before_a_run(run, export, tmp_path):
    _recalibrated(export, tmp_path / "raw", {})
    done = run("model=raw uncertainty=bars.csv stop=1000", "fix 1 all nve", "run 3")
    assert (done.returncode, done.stderr) == (0, "")
    said = (
        "WARNING: error bars of energy, forces, stress are not calibrated: raw disagreements, "
        "mostly too small; stop=1000 acts on them"
    )
    for text in (done.stdout, (tmp_path / "log.lammps").read_text()):
        lines = text.splitlines()
        assert lines.count(said) == 1
        assert text.index(said) < text.index("Step ")
    table = (tmp_path / "bars.csv").read_text().splitlines()
    assert table[0] == "# not calibrated, raw disagreements: energy, forces, stress"
    assert table[1].startswith("step,energy,forces")
    part = run(f"model={export} stop=1000", "fix 1 all nve", "run 1").stdout
    assert "WARNING: error bars of energy, stress are not calibrated" in part
    assert "acts on them" not in part, "the limit is on forces, which are calibrated"


def test_nothing_is_said_where_all_is_calibrated_or_no_bars_are_asked_for(run, export, tmp_path):
    one = {"slope": 2.0, "sigma": 3.0, "threshold": 0.05, "fitted": True}
    _recalibrated(export, tmp_path / "all", dict.fromkeys(("energy", "forces", "stress"), one))
    done = run("model=all uncertainty=bars.csv stop=1000", "fix 1 all nve", "run 1")
    assert "calibrated" not in done.stdout
    assert (tmp_path / "bars.csv").read_text().startswith("step,energy,forces")
    assert "calibrated" not in run(f"model={export}", "fix 1 all nve", "run 1").stdout


def test_a_single_model_has_no_bars(run, export, tmp_path):
    done = run(
        f"model={export / 'models' / 'm0.toy'} uncertainty=bars.csv", "fix 1 all nve", "run 1"
    )
    assert done.returncode == 2
    assert "in.deck:1: a single model has no error bars" in done.stderr
    assert not (tmp_path / "bars.csv").exists()


def test_a_committee_of_one_does_not_invent_bars(run, export, tmp_path):
    lonely = tmp_path / "lonely"
    (lonely / "models").mkdir(parents=True)
    (lonely / "models" / "m0.toy").write_bytes((export / "models" / "m0.toy").read_bytes())
    content = json.loads((export / "calibration.json").read_text()) | {"models": ["m0.toy"]}
    (lonely / "calibration.json").write_text(json.dumps(content))
    done = run("model=lonely stop=1", "fix 1 all nve", "run 1")
    assert done.returncode == 1
    assert "a committee of one has no error bars" in done.stderr


@pytest.mark.parametrize("word", ["stop=-1", "stop=nan", "every=0", "every=x", "stop=inf"])
def test_impossible_numbers_are_refused(word):
    with pytest.raises(InputError, match="is no positive number"):
        parse(f"# trainspot model=a elements=Ar {word}\n")


def test_a_committee_is_a_potential(export, argon, cluster):
    check_potential(CommitteePotential.load(export), [argon, cluster])


def test_bars_follow_the_trust(export, argon):
    members = CommitteePotential.load(export).members
    frame = [argon]

    def bars(trust):
        committee = CommitteePotential(members, trust)
        assert committee.calibrated == frozenset(trust)
        return committee.predict_with_bars(committee.prepare(frame))[0][1]

    raw, known = bars({}), bars({"stress": Trust(4.0, 0.5)})
    assert raw.threshold_ratio is None
    assert known.stress == pytest.approx(4.0 * raw.stress)
    assert known.threshold_ratio == pytest.approx(raw.stress / 0.5)
    np.testing.assert_array_equal(known.forces, raw.forces)
