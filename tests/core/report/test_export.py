"""The exported folder, and the calculator that is made from it, against means made by hand."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.stress import voigt_6_to_full_3x3_stress
from click.testing import CliRunner

import trainspot
from trainspot import io
from trainspot.campaign.record import Prospective
from trainspot.cli import main
from trainspot.common.errors import DataError, InputError
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame
from trainspot.judge.scoring import Rates
from trainspot.label.base import failed
from trainspot.models import potential
from trainspot.report.exported.card import plain
from trainspot.report.exported.export import export
from trainspot.train.toy import ToySettings, ToyTrainer

PAGE = Path(__file__).parents[3] / "docs/how-to/use-a-potential.md"


@pytest.fixture(scope="module")
def models(campaign, tmp_path_factory):
    """Three toy models, which disagree because each has its own seed."""
    files = {}
    for member in range(3):
        folder = tmp_path_factory.mktemp("member")
        ToyTrainer.write_inputs(folder, campaign.dataset, ToySettings(), member)
        ToyTrainer.run(folder)
        files[f"member_{member}"] = ToyTrainer.read_outputs(folder).model
    return files


@pytest.fixture
def exported(campaign, models, tmp_path):
    return export(
        tmp_path / "out",
        dataset=campaign.dataset,
        models=models,
        calibration=campaign.iterations[-1].calibration,
        status=campaign.status,
    )


def _rattled(rng, number):
    """Silicon that gets worse and worse."""
    for k in range(number):
        atoms = bulk("Si", a=5.44, cubic=True)
        atoms.positions += rng.normal(0, 0.005 + 0.03 * k, (8, 3))
        yield Frame.from_atoms(atoms)


@pytest.fixture
def crystal(rng):
    atoms = bulk("Si", a=5.44, cubic=True)
    atoms.positions += rng.normal(0, 0.08, (8, 3))
    return atoms


def test_the_folder_holds_what_it_promises(exported, campaign):
    names = sorted(str(p.relative_to(exported)) for p in exported.rglob("*") if p.is_file())
    assert names == [
        "README.md", "calibration.json", "dataset.extxyz", "dataset.h5",
        "models/member_0.toy", "models/member_1.toy", "models/member_2.toy",
    ]  # fmt: skip
    assert hdf5.read(exported / "dataset.h5").ids == campaign.dataset.ids
    assert io.read(exported / "dataset.extxyz").ids == campaign.dataset.ids
    assert len(ase.io.read(exported / "dataset.extxyz", ":")) == len(campaign.dataset)
    content = json.loads((exported / "calibration.json").read_text())
    made = campaign.iterations[-1].calibration
    assert content["properties"] == {key: one.to_dict() for key, one in made.items()}
    assert not [p for p in exported.parent.iterdir() if p != exported]


def test_the_card_tells_what_one_must_know(exported, campaign):
    card = (exported / "README.md").read_text()
    for part in (
        "demonstration quality", "pw-0123456789ab", "quantumespresso", "vacancies",
        "trainspot.calculator(", "models/member_0.toy", "elements=Si",
        f"{campaign.iterations[-1].calibration['forces'].sigma:.3g}",
        "Not within the tolerance; the campaign ran out of iterations", "## Limits",
        'atoms.calc.results["threshold_ratio"]',
        "How many errors of\nsingle atoms sigma covers was not measured",
    ):  # fmt: skip
        assert part in card


def test_atoms_have_bars_with_a_scale_of_their_own(tmp_path, campaign, models, crystal):
    made = campaign.iterations[-1].calibration
    own = {**made, "forces": replace(made["forces"], atom_sigma=3.25, atom_bar_90=6.5, atoms=480)}
    batch = Rates(0.9, None, None, None, 28, atom_coverage=0.81, atoms=224)
    audit = replace(batch, atom_coverage=0.71, atom_coverage_interval=(0.6, 0.82), atoms=48)
    first, second, last = campaign.status["iterations"]
    second = {**second, "prospective": {"forces": Prospective.of(batch, audit).to_dict()}}
    last = {**last, "prospective": {}}  # its frames were not labelled any more
    status = campaign.status | {"iterations": [first, second, last]}
    folder = export(tmp_path / "atoms", dataset=campaign.dataset, models=models, calibration=own,
                    status=status)  # fmt: skip
    card = (folder / "README.md").read_text()
    assert (
        "has its own factor, 3.25 (90 %: 6.5). It was found in\nthe same way for 480 atoms "
        "of these frames." in card
    )
    assert (
        "Test of iteration 2, with its own factor: 71% (60% to 82%) of 48 atoms of the audit "
        "frames had an error below sigma. Sigma was predicted before these frames were labelled."
    ) in card
    assert "was not measured" not in card
    crystal.calc = trainspot.calculator(folder)
    crystal.get_forces()
    members = crystal.calc.committee.members
    frame = Frame.from_atoms(crystal)
    forces = np.array([m.predict(m.prepare([frame]))[0].forces for m in members])
    spread = np.sqrt(forces.var(axis=0, ddof=1).mean(axis=1))
    results = crystal.calc.results
    assert np.allclose(results["forces_uncertainty"], 3.25 * spread)
    whole = made["forces"].sigma * np.sqrt(np.mean(spread**2))
    assert results["frame_forces_uncertainty"] == pytest.approx(whole)


def test_the_card_promises_no_more_than_the_calculator_gives(tmp_path, campaign, models, crystal):
    made = {
        key: replace(one, fitted=False, bars_from="")
        for key, one in campaign.iterations[-1].calibration.items()
    }
    folder = export(
        tmp_path / "raw",
        dataset=campaign.dataset,
        models=models,
        calibration=made,
        status=campaign.status,
    )
    with pytest.warns(UserWarning, match="energy, forces, stress are not calibrated"):
        crystal.calc = trainspot.calculator(folder)
    crystal.get_forces()
    assert not {"threshold_ratio", "excess"} & crystal.calc.results.keys()
    assert '"threshold_ratio"' not in (folder / "README.md").read_text()


def test_the_calculator_gives_means_and_calibrated_bars(exported, campaign, models, crystal):
    crystal.calc = trainspot.calculator(exported)
    # the calculator takes positions as they are, off the grid of a frame
    shape = (crystal.numbers, crystal.positions, crystal.cell.array, crystal.pbc)
    frame = Frame(*shape, id="")
    members = [potential.load(path) for path in models.values()]
    found = [m.predict(m.prepare([frame]))[0] for m in members]
    energies = np.array([one.energy for one in found])
    forces = np.array([one.forces for one in found])
    stresses = np.array([one.stress for one in found])
    made = campaign.iterations[-1].calibration
    scale = {key: one.sigma for key, one in made.items()}

    assert np.ptp(energies) > 0
    assert crystal.get_potential_energy() == pytest.approx(energies.mean(), abs=1e-9)
    assert np.allclose(crystal.get_forces(), forces.mean(axis=0), atol=1e-9)
    stress = voigt_6_to_full_3x3_stress(crystal.get_stress())
    assert np.allclose(stress, stresses.mean(axis=0), atol=1e-12)
    results = crystal.calc.results
    assert results["energy_uncertainty"] == pytest.approx(scale["energy"] * energies.std(ddof=1))
    # per atom, three components a member: sum of squares over (M - 1) and 3
    deviation = forces - forces.mean(axis=0)
    bars = scale["forces"] * np.sqrt((deviation**2).sum(axis=(0, 2)) / (2 * 3))
    assert np.allclose(results["forces_uncertainty"], bars)
    deviation = stresses - stresses.mean(axis=0)
    bar = scale["stress"] * np.sqrt((deviation**2).sum() / (2 * 9))
    assert results["stress_uncertainty"] == pytest.approx(bar)
    assert all(crystal.calc.is_calibrated.values())
    delta = {
        "energy": energies.std(ddof=1) / 8,
        "forces": np.sqrt(np.mean((bars / scale["forces"]) ** 2)),
        "stress": bar / scale["stress"],
    }
    ratio = max(delta[key] / one.threshold for key, one in made.items())
    assert results["threshold_ratio"] == pytest.approx(ratio)
    assert results["excess"] == pytest.approx(ratio)  # its former name


def test_the_page_on_potentials_shows_what_works(exported, monkeypatch):
    text = PAGE.read_text(encoding="utf-8")
    code, files = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    content = json.loads((exported / "calibration.json").read_text())
    for name in ("energy", "stress"):  # the forces alone decide
        content["properties"][name]["threshold"] = 1e3
    (exported / "calibration.json").write_text(json.dumps(content))
    exported.rename(exported.parent / "silicon-potential")
    monkeypatch.chdir(exported.parent)
    found = {}
    exec(compile(code, PAGE.name, "exec"), found)
    io.write(Dataset.from_frames(_rattled(np.random.default_rng(2), 12)), "trajectory.h5")
    (line,) = re.findall(r"^\$ trainspot (evaluate .*)$", text, re.MULTILINE)
    words = CliRunner().invoke(main, line.split(), catch_exceptions=False).stdout
    exec(compile(files, PAGE.name, "exec"), {})
    kept = len(io.read("doubtful.h5"))
    assert 0 < kept < 12
    assert f"{kept} of 12 frames exceed" in words
    assert f" a threshold (forces: {kept})\n" in words
    assert found["forces"].shape == (8, 3)
    assert found["bars"].shape == (8,)
    results = found["atoms"].calc.results
    rows = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert rows
    assert set(rows) <= set(results)


def test_the_atoms_bars_add_up_to_the_disagreement_of_the_frame(exported, crystal):
    from trainspot.evaluate.batch import evaluate

    crystal.calc = calc = trainspot.calculator(exported)
    crystal.get_forces()
    scale = calc.committee.trust["forces"].scale
    together = np.sqrt(np.mean(calc.results["forces_uncertainty"] ** 2)) / scale
    found = evaluate(Dataset.from_frames([Frame.from_atoms(crystal)]), calc.committee.members)
    assert together == pytest.approx(found.disagreement()["forces"][0])


def test_forces_are_the_derivative_of_the_energy(exported, crystal):
    crystal.calc = trainspot.calculator(exported)
    force = crystal.get_forces()[3, 1]
    energies = []
    for step in (1e-4, -1e-4):
        moved = crystal.copy()
        moved.positions[3, 1] += step
        moved.calc = crystal.calc
        energies.append(moved.get_potential_energy())
    assert force == pytest.approx(-(energies[0] - energies[1]) / 2e-4, abs=1e-5)


def test_unfitted_bars_are_raw_disagreements(campaign, models, tmp_path, crystal):
    made = campaign.iterations[-1].calibration["forces"]
    poor = {"forces": replace(made, fitted=False, slope=7.0, verdict="poor", bars_from="")}
    folder = export(tmp_path / "out", dataset=campaign.dataset, models=models, calibration=poor,
                    status=campaign.status)  # fmt: skip
    with pytest.warns(UserWarning, match="not calibrated") as record:
        calc = trainspot.calculator(folder)
    (warning,) = record
    assert str(warning.message) == (
        "error bars of energy, forces, stress are not calibrated: raw disagreements, mostly too "
        "small"
    )
    assert warning.filename == __file__
    assert calc.is_calibrated == {"energy": False, "forces": False, "stress": False}
    crystal.calc = calc
    forces = np.array([m.predict(m.prepare([Frame.from_atoms(crystal)]))[0].forces
                       for m in calc.committee.members])  # fmt: skip
    crystal.get_forces()
    raw = np.sqrt(forces.var(axis=0, ddof=1).mean(axis=1))
    assert np.allclose(calc.results["forces_uncertainty"], raw)
    assert "1 (not fitted)" in (folder / "README.md").read_text()


def test_a_molecule_has_no_stress_and_one_model_no_bars(campaign, models, tmp_path):
    one = {"only.toy": models["member_0"].read_bytes()}
    folder = export(tmp_path / "out", dataset=campaign.dataset, models=one, calibration={},
                    status={"name": "x"})  # fmt: skip
    atoms = ase.Atoms("Si2", [[0, 0, 0], [0, 0, 2.4]])
    atoms.calc = trainspot.calculator(folder)
    atoms.get_forces()
    assert set(atoms.calc.results) == {"energy", "free_energy", "forces"}


def test_an_earlier_export_is_replaced_and_anything_else_kept(exported, campaign, models):
    (exported / "models" / "stale").touch()
    rest = {"dataset": campaign.dataset, "calibration": {}, "status": campaign.status}
    export(exported, models={"b.toy": models["member_1"]}, **rest)
    assert [p.name for p in (exported / "models").iterdir()] == ["b.toy"]
    other = exported.parent / "precious"
    other.mkdir()
    (other / "thesis.tex").touch()
    with pytest.raises(InputError, match="not an earlier export"):
        export(other, models=models, **rest)
    assert (other / "thesis.tex").exists()
    (other / "calibration.json").write_text((exported / "calibration.json").read_text())
    (exported / "notes.txt").touch()
    for folder in (other, exported):  # an export beside something of the user's
        with pytest.raises(InputError, match="not an earlier export"):
            export(folder, models=models, **rest)
    assert (other / "thesis.tex").exists()
    assert (exported / "notes.txt").exists()


@pytest.mark.parametrize("name", ["../evil.toy", "/abs.toy", ".hidden", "a b.toy", "x;y.toy"])
def test_only_plain_file_names(campaign, tmp_path, name):
    with pytest.raises(InputError, match="no plain file name"):
        export(tmp_path / "out", dataset=campaign.dataset, models={name: b""}, calibration={},
               status={})  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_nothing_stays_when_writing_fails(campaign, tmp_path):
    with pytest.raises(FileNotFoundError):
        export(tmp_path / "out", dataset=campaign.dataset, models={"a": tmp_path / "none.toy"},
               calibration={}, status={})  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_without_models_the_dataset_is_exported_alone(campaign, tmp_path, silicon):
    """Whatever became of a campaign; a second export replaces it, and nothing else does."""
    out, reason = tmp_path / "out", "did not reach self-consistency"
    dataset = campaign.dataset.merge(Dataset.from_frames([silicon]))
    lost = Dataset.from_frames([failed(silicon, reason)])
    ending = {"status": 452, "label": "failed", "message": "it diverged", "remedy": "Lower lr"}
    given = {"models": {}, "calibration": {}, "failures": lost}
    status = {"name": "x", "state": "failed", "exit": ending, "iterations": []}
    for _ in range(2):
        export(out, dataset=dataset, status=status, **given)
        assert sorted(p.name for p in out.iterdir()) == [
            "README.md", "dataset.extxyz", "dataset.h5",
        ]  # fmt: skip
        assert hdf5.read(out / "dataset.h5").ids == dataset.ids
        assert io.read(out / "dataset.extxyz").ids == dataset.ids
    card = (out / "README.md").read_text()
    for part in (
        "without a potential", "How the campaign ended", "Why it ended: it diverged. Lower lr.",
        "A committee of potentials", "1 frame of the dataset has no labels",
        f"1 frame could not be labelled and left out: {reason}", "dataset: dataset.h5",
    ):  # fmt: skip
        assert part in card
    (out / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not an earlier export"):
        export(out, dataset=dataset, status=status, **given)
    with pytest.raises(InputError, match=r"no calibration\.json here"):
        trainspot.calculator(out)


def test_a_folder_of_a_users_own_dataset_is_not_replaced(campaign, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "dataset.extxyz").write_text("mine")
    with pytest.raises(InputError, match="not an earlier export"):
        export(out, dataset=campaign.dataset, models={}, calibration={}, status={})


def test_without_a_label_there_is_nothing_to_export(silicon, tmp_path):
    with pytest.raises(InputError, match="nothing is labelled yet"):
        export(tmp_path / "o", dataset=Dataset.from_frames([silicon]), models={}, calibration={},
               status={})  # fmt: skip
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("{", DataError),
        ('{"format": "other"}', DataError),
        ('{"format": "trainspot-calibration", "format_version": 99}', DataError),
        ('{"format": "trainspot-calibration", "format_version": null}', DataError),
        ('{"format": "trainspot-calibration", "format_version": "x"}', DataError),
        ('{"format": "trainspot-calibration", "models": ["../x"], "properties": {}}', DataError),
        ('{"format": "trainspot-calibration", "models": [], "properties": {}}', InputError),
        (None, InputError),
    ],
)
def test_a_damaged_folder_is_refused(tmp_path, content, error):
    if content is not None:
        (tmp_path / "calibration.json").write_text(content)
    with pytest.raises(error):
        trainspot.calculator(tmp_path)


def test_markdown_cannot_be_injected():
    assert plain("a|b\n# *x* <img>") == r"a\|b \# \*x\* &lt;img&gt;"


def test_the_package_says_what_it_does_not_have():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        trainspot.nonsense  # noqa: B018
