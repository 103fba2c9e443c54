"""Novelty of an exported committee: in the file, the calculator, and ``trainspot evaluate``."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import fields, replace

import h5py
import numpy as np
import pytest
from ase.build import bulk, fcc111
from click.testing import CliRunner

import trainspot
from trainspot import io
from trainspot.cli import main
from trainspot.common.errors import DataError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.descriptors import DescriptorSettings
from trainspot.judge.judgement import judge
from trainspot.judge.novelty import Novelty
from trainspot.judge.settings import JudgeSettings, SelectSettings
from trainspot.judge.space import Space, domain_of
from trainspot.label.ase import AseSettings, label_frame
from trainspot.models.novelty_file import NOVELTY, read_domain, write_domain
from trainspot.models.potential import ErrorBars
from trainspot.predictions import domain as domain_module
from trainspot.predictions import files
from trainspot.predictions.calibration import Calibration
from trainspot.predictions.domain import Domain
from trainspot.report.exported.export import export
from trainspot.train.toy import ToySettings, fit

CRYSTAL = bulk("Cu", cubic=True).repeat((2, 1, 1))
SETTINGS = AseSettings(calculator="emt")
FORCES = Calibration.given("forces", 1e3)
BARS = (
    "energy_uncertainty",
    "forces_uncertainty",
    "frame_forces_uncertainty",
    "stress_uncertainty",
)


def rattled(seed, amplitude=0.06, atoms=CRYSTAL):
    moved = atoms.copy()
    moved.positions += np.random.default_rng(seed).normal(0, amplitude, (len(atoms), 3))
    return Frame.from_atoms(moved)


def slab():
    atoms = fcc111("Cu", (2, 2, 3), vacuum=7.0)
    atoms.pbc = (True, True, False)
    return Frame.from_atoms(atoms)


@pytest.fixture(scope="module")
def known():
    """Bulk copper: 30 frames to train on, 20 to validate."""
    return Dataset.from_frames(
        label_frame(rattled(k), SETTINGS).with_(split="train" if k < 30 else "validation")
        for k in range(50)
    )


@pytest.fixture(scope="module", params=["frames", "atoms", "both"])
def of(request):
    return request.param


@pytest.fixture(scope="module")
def explored():
    return Dataset.from_frames([*(rattled(k) for k in range(60, 70)), slab(), rattled(71, 0.3)])


def novelty_of(known, of):
    return Space.of(known[:0], known, DescriptorSettings()).novelty(0.95, 5e-4, of)


@pytest.fixture(scope="module")
def exported(known, tmp_path_factory):
    """The folder of a committee with its domain."""
    root = tmp_path_factory.mktemp("exported")
    training = known.subset("train")
    models = {}
    for seed in range(2):
        models[f"m{seed}.toy"] = root / f"m{seed}.toy"
        fit(training, ToySettings(), seed)[0].save(models[f"m{seed}.toy"])
    domain, reason = domain_of(known, novelty_of(known, "both"), DescriptorSettings())
    assert reason == ""
    return export(
        root / "potential",
        dataset=known,
        models=models,
        calibration={"forces": replace(FORCES, fitted=True, slope=2.0, sigma=2.0)},
        status={"name": "copper"},
        domain=domain,
    )


# ── the domain and its file ───────────────────────────────────────────────────
def test_the_export_says_what_the_campaign_said(known, explored, predict, of, tmp_path):
    """The ratios of the judgement and of the domain that was written and read are the same."""
    novelty = novelty_of(known, of)
    space = Space.of(explored, known, DescriptorSettings())
    domain, _ = domain_of(known, novelty, DescriptorSettings())
    write_domain(tmp_path, domain)
    ratios = read_domain(tmp_path).novelty(explored)
    assert ratios == pytest.approx(space.remote(novelty).ratio, abs=2e-5)
    judgement = judge(
        explored,
        predict(explored, noise=0.01),
        {"forces": FORCES},
        known,
        JudgeSettings(select=SelectSettings(novelty_of=of)),
        iteration=1,
        seed=1,
        starts=explored[:0],
    )
    outside = {i for i, ratio in zip(explored.ids, ratios, strict=True) if ratio > 1.0}
    assert outside == set(judgement.flagged)
    assert explored.ids[10] in outside
    assert len(outside) < 6


def test_equal_domains_give_equal_bytes_and_damaged_files_are_refused(known, tmp_path):
    written = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        domain, _ = domain_of(known, novelty_of(known, "both"), DescriptorSettings())
        write_domain(tmp_path / name, domain)
        written.append((tmp_path / name / NOVELTY).read_bytes())
    assert written[0] == written[1]
    assert read_domain(tmp_path) is None
    path = tmp_path / "one" / NOVELTY
    with h5py.File(path, "r+") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(DataError, match="newer trainspot"):
        read_domain(path.parent)
    for attribute, value in (("thresholds", "{"), ("settings", "{}x"), ("format", "other")):
        path.write_bytes(written[0])
        with h5py.File(path, "r+") as file:
            file.attrs[attribute] = value
        with pytest.raises(DataError, match=NOVELTY):
            read_domain(path.parent)
    path.write_bytes(written[0][:500])
    with pytest.raises(DataError, match="damaged"):
        read_domain(path.parent)


def test_many_training_frames_are_thinned(known, explored, monkeypatch):
    settings, training = DescriptorSettings(), known.subset("train")
    full = Domain.of(training, settings, {"3D": 0.1, "2D": 0.1}, {})
    monkeypatch.setattr(domain_module, "MOST_FRAMES", 8)
    few = Domain.of(training, settings, {"3D": 0.1, "2D": 0.1}, {})
    assert (len(full.frames), len(few.frames)) == (30, 8)
    assert (few.novelty(explored) >= full.novelty(explored) - 1e-6).all()


def test_an_element_without_training_frames_is_infinitely_novel(known):
    domain, _ = domain_of(known, novelty_of(known, "both"), DescriptorSettings())
    alloy = CRYSTAL.copy()
    alloy.symbols[2] = "Ni"
    frames = Dataset.from_frames([rattled(80), Frame.from_atoms(alloy)])
    assert np.isinf(domain.novelty(frames)).tolist() == [False, True]


def test_without_thresholds_there_is_no_domain_but_a_reason(known):
    settings = DescriptorSettings()
    assert domain_of(known, Novelty(), settings) == (
        None, "novelty was switched off (select.novelty: null)",
    )  # fmt: skip
    assert domain_of(known, Novelty(0.95, note="too few"), settings) == (None, "too few")


# ── the calculator ────────────────────────────────────────────────────────────
def test_a_slab_is_outside_and_has_no_bars_and_bulk_is_inside(exported):
    with pytest.warns(UserWarning, match="not calibrated"):
        calculator = trainspot.calculator(exported)
    results = {}
    for name, frame in (("bulk", rattled(90)), ("slab", slab())):
        atoms = frame.to_atoms()
        atoms.calc = calculator
        atoms.get_potential_energy()
        results[name] = dict(calculator.results)
    assert results["bulk"]["novelty"] < 1.0 < results["slab"]["novelty"]
    for bar in BARS:
        assert np.isfinite(results["bulk"][bar]).all()
        assert np.isnan(results["slab"][bar]).all()
    assert results["bulk"]["threshold_ratio"] == results["bulk"]["novelty"]  # Δ/τ is tiny
    assert results["slab"]["threshold_ratio"] == results["slab"]["excess"] > 1.0
    assert np.isfinite(results["slab"]["energy"])
    assert np.isfinite(results["slab"]["forces"]).all()


def test_no_bar_of_any_kind_is_left_outside():
    bars = ErrorBars(1.0, np.ones(2), 1.0, None, 0.2, 1.0, np.ones(2), 1.0, 1.0)
    outside = bars.with_novelty(1.5)
    kept = {"stress": None, "threshold_ratio": 1.5, "novelty": 1.5}
    for entry in fields(ErrorBars):
        value = getattr(outside, entry.name)
        assert value == kept[entry.name] if entry.name in kept else np.isnan(value).all()
    inside = bars.with_novelty(0.5)
    assert (inside.energy_90, inside.threshold_ratio, inside.novelty) == (1.0, 0.5, 0.5)


@pytest.mark.filterwarnings("ignore:error bars of")
def test_novelty_can_be_left_out(exported):
    atoms = slab().to_atoms()
    atoms.calc = trainspot.calculator(exported, novelty=False)
    atoms.get_potential_energy()
    assert "novelty" not in atoms.calc.results
    assert np.isfinite(atoms.calc.results["forces_uncertainty"]).all()


@pytest.mark.filterwarnings("ignore:error bars of")
def test_an_export_of_before_works_as_it_did(exported, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(exported, old)
    (old / NOVELTY).unlink()
    atoms = slab().to_atoms()
    atoms.calc = trainspot.calculator(old)
    atoms.get_potential_energy()
    assert "novelty" not in atoms.calc.results
    assert atoms.calc.results["threshold_ratio"] < 1.0
    done = evaluate(old, tmp_path)
    assert "novelty" not in done.output
    assert "novelty" not in files.error_bars(tmp_path / "p.h5")


def test_without_the_library_one_warning_has_the_pip_line(exported, monkeypatch, tmp_path):
    monkeypatch.setattr("trainspot.descriptors.find_spec", lambda name: None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        atoms = slab().to_atoms()
        atoms.calc = trainspot.calculator(exported)
        atoms.get_potential_energy()
    said = [str(one.message) for one in caught if "novelty" in str(one.message)]
    assert len(said) == 1
    assert "pip install 'trainspot[descriptors]'" in said[0]
    assert np.isfinite(atoms.calc.results["forces_uncertainty"]).all()
    done = evaluate(exported, tmp_path)
    assert done.stderr.count("pip install 'trainspot[descriptors]'") == 1
    assert "forces: sigma" in done.output


# ── trainspot evaluate ────────────────────────────────────────────────────────
def evaluate(folder, where, *options):
    frames = where / "frames.h5"
    io.write(Dataset.from_frames([rattled(95), slab(), rattled(96)]), frames)
    args = ["evaluate", str(frames), "--models", str(folder), "-o", str(where / "p.h5"), *options]
    done = CliRunner().invoke(main, args)
    assert done.exit_code == 0, done.output
    return done


def test_evaluate_counts_what_is_outside_and_writes_novelty(exported, tmp_path):
    said = evaluate(exported, tmp_path).output
    assert "1 of 3 frames exceeds a threshold (novelty: 1)" in said
    assert (
        "1 frame outside of what the committee was trained on (novelty above 1): no sigma" in said
    )
    bars = files.error_bars(tmp_path / "p.h5")
    assert (bars["novelty"] > 1.0).tolist() == [False, True, False]
    assert (bars["threshold_ratio"] > 1.0).tolist() == [False, True, False]
    assert np.isnan(bars["forces"]).tolist() == [False, True, False]
    with h5py.File(tmp_path / "p.h5") as file:
        assert np.array_equal(file["calibrated/excess"], file["calibrated/threshold_ratio"])
    answer = json.loads(evaluate(exported, tmp_path, "--json").stdout)
    assert [one["frame"] for one in answer["doubtful"]] == [1]
    assert answer["doubtful"][0]["novelty"] == pytest.approx(bars["novelty"][1])


# ── the card ──────────────────────────────────────────────────────────────────
def test_the_card_says_what_novelty_means_or_that_it_is_unknown(exported, known, tmp_path):
    card = (exported / "README.md").read_text(encoding="utf-8")
    assert "`novelty.h5` has the training frames" in card
    assert 'results["novelty"]' in card
    unknown = export(
        tmp_path / "off",
        dataset=known,
        models={"m0.toy": exported / "models" / "m0.toy"},
        calibration={},
        status={"name": "copper"},
        no_novelty="novelty was switched off (select.novelty: null)",
    )
    card = (unknown / "README.md").read_text(encoding="utf-8")
    assert "Unknown: novelty was switched off" in card
    assert 'results["novelty"]' not in card
    assert not (unknown / NOVELTY).exists()
    models = {"m0.toy": (exported / "models" / "m0.toy").read_bytes()}
    shutil.copytree(exported, tmp_path / "again")
    again = export(
        tmp_path / "again", dataset=known, models=models, calibration={}, status={"name": "copper"}
    )
    assert not (again / NOVELTY).exists(), "an earlier export with novelty is replaced"
