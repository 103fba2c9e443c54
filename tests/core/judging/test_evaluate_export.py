"""``trainspot evaluate`` with the folder of ``trainspot export``: every member, and error bars."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import trainspot
from trainspot import io
from trainspot.cli import main
from trainspot.cli._bars import Calibrated
from trainspot.common.properties import PROPERTIES, UNITS
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.judge.calibrate import calibrate
from trainspot.judge.pairs import collect_pairs
from trainspot.judge.settings import CalibrateSettings, Tolerance
from trainspot.predictions import files
from trainspot.predictions.calibration import Calibration
from trainspot.predictions.error_bars import Trust, calibrated
from trainspot.predictions.predictions import Predictions
from trainspot.report.exported.export import export

MEMBERS = ("m0", "m1", "m2")


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*args, status=0):
        result = CliRunner().invoke(main, ["evaluate", *[str(a) for a in args]])
        assert result.exit_code == status, result.output
        return result

    return call


@pytest.fixture(scope="module")
def fitted(folder, tmp_path_factory):
    """The calibrations of the three toy models, whose tolerances divide the frames."""
    output = tmp_path_factory.mktemp("fitted") / "p.h5"
    models = [str(folder / f"{name}.toy") for name in MEMBERS]
    args = ["evaluate", str(folder / "frames.h5"), "--models", *models, "-o", str(output)]
    assert CliRunner().invoke(main, [*args, "--dtype", "float64"]).exit_code == 0
    pairs = collect_pairs(io.read(folder / "frames.h5"), Predictions.read(output))
    large = {name: float(np.quantile(pairs.of(name)[1], 0.8)) for name in PROPERTIES}
    found = calibrate(pairs, Tolerance(**large), CalibrateSettings(), seed=0)
    return {name: replace(one, fitted=True, verdict="good") for name, one in found.items()}


@pytest.fixture
def make(folder, tmp_path):
    """An exported folder, with ``calibration`` and the members named."""

    def write(name, calibration, members=MEMBERS):
        return export(
            tmp_path / name,
            dataset=io.read(folder / "frames.h5")[:2],
            models={f"{member}.toy": folder / f"{member}.toy" for member in members},
            calibration=calibration,
            status={"name": "copper"},
        )

    return write


@pytest.fixture
def bare(folder, tmp_path):
    """A trajectory without labels, its last frame a dimer in a vacuum."""
    frames = [frame.with_(labels=Labels(), split=None) for frame in io.read(folder / "frames.h5")]
    dimer = Frame.make([29, 29], [[0, 0, 0], [0, 0, 2.2]], np.eye(3) * 12.0, [False] * 3)
    io.write(Dataset.from_frames([*frames, dimer]), tmp_path / "bare.extxyz")
    return tmp_path / "bare.extxyz"


def test_the_folder_stands_for_its_members(run, make, fitted, folder):
    make("export", fitted)
    run(folder / "frames.h5", "--models", "export", "-o", "whole.h5")
    single = [folder / f"{name}.toy" for name in MEMBERS]
    run(folder / "frames.h5", "--models", *single, "-o", "single.h5")
    whole, single = Predictions.read("whole.h5"), Predictions.read("single.h5")
    assert whole.members == MEMBERS
    np.testing.assert_array_equal(whole.forces, single.forces)
    found = files.disagreement("whole.h5")
    np.testing.assert_array_equal(found["forces"], whole.disagreement()["forces"])


def test_bars_in_the_file_are_those_of_the_calculator(run, make, fitted, bare):
    run(bare, "--models", make("export", fitted), "-o", "p.h5", "--dtype", "float64")
    bars = files.error_bars("p.h5")
    assert set(bars) == {*PROPERTIES, *(f"{name}_90" for name in PROPERTIES), "threshold_ratio"}
    calculator = trainspot.calculator("export")
    for row, frame in enumerate(io.read(bare)):
        atoms = frame.to_atoms()
        atoms.calc = calculator
        atoms.get_forces()
        found = calculator.results
        assert bars["energy"][row] * len(frame) == pytest.approx(found["energy_uncertainty"])
        wide = found["energy_uncertainty_90"]
        assert bars["energy_90"][row] * len(frame) == pytest.approx(wide)
        assert wide > found["energy_uncertainty"]
        assert bars["forces_90"][row] == pytest.approx(found["frame_forces_uncertainty_90"])
        atoms_90 = found["forces_uncertainty_90"] / found["forces_uncertainty"]
        assert atoms_90 == pytest.approx(fitted["forces"].atom_bar_90 / fitted["forces"].atom_sigma)
        assert bars["forces"][row] == pytest.approx(found["frame_forces_uncertainty"])
        whole = np.sqrt(np.mean(found["forces_uncertainty"] ** 2))
        atoms = whole / found["frame_forces_uncertainty"]
        assert atoms == pytest.approx(fitted["forces"].atom_sigma / fitted["forces"].sigma)
        assert bars["threshold_ratio"][row] == pytest.approx(found["threshold_ratio"])
        if row < len(bars["stress"]) - 1:
            assert bars["stress"][row] == pytest.approx(found["stress_uncertainty"])
    assert math.isnan(bars["stress"][-1]), "a molecule has no stress, nor a bar of 0 for it"
    with h5py.File("p.h5") as file:
        one = fitted["forces"]
        assert dict(file["calibrated/forces"].attrs) == {
            "scale": one.sigma, "threshold": one.threshold,
        }  # fmt: skip


def test_one_learns_which_frames_not_to_trust(run, make, fitted, bare):
    args = (bare, "--models", make("export", fitted), "-o", "p.h5")
    words = run(*args).stdout
    bars = files.error_bars("p.h5")
    delta = files.disagreement("p.h5")
    ratios = bars["threshold_ratio"]
    rows = sorted(np.flatnonzero(ratios > 1), key=lambda row: -ratios[row])
    assert 10 < len(rows) < 49
    for name in PROPERTIES:
        values, one = bars[name][np.isfinite(bars[name])], fitted[name]
        assert (
            f"{name}: sigma (calibrated error bar) {np.median(values):.3g} (median), "
            f"{values.max():.3g} (largest) {UNITS[name]}, tolerance {one.tolerance:.4g}; "
            f"90 % bar: {one.bar_90 / one.sigma:.3g} sigma; "
            f"from {one.bars_frames} validation frames\n"
        ) in words
    worst = rows[0]
    why = ", ".join(f"{n}: {(delta[n] > fitted[n].threshold).sum()}" for n in PROPERTIES)
    assert f"\n{len(rows)} of 49 frames exceed a threshold ({why})\n" in words
    assert f"threshold ratio: {worst} ({ratios[worst]:.3g}), {rows[1]} (" in words
    assert words.endswith(f") and {len(rows) - 10} more\n")
    assert "no sigma" not in words
    answer = json.loads(run(*args, "--json").stdout)
    assert [one["frame"] for one in answer["doubtful"]] == rows
    ids = io.read(bare).ids
    assert [one["id"] for one in answer["doubtful"]] == [ids[row] for row in rows]
    assert answer["doubtful"][0]["threshold_ratio"] == pytest.approx(ratios[worst])
    assert answer["doubtful"][0]["excess"] == pytest.approx(ratios[worst])  # its former name
    forces = answer["calibrated"]["forces"]
    assert (forces["fitted"], forces["verdict"]) == (True, "good")
    assert forces["largest"] == pytest.approx(bars["forces"].max())
    assert forces["median"] == pytest.approx(np.median(bars["forces"]))
    assert forces["beyond"] == (delta["forces"] > fitted["forces"].threshold).sum()
    assert forces["tolerance"] == fitted["forces"].tolerance


def test_where_all_is_well_no_frame_is_named(run, make, fitted, bare):
    wide = {name: replace(one, threshold=1e3) for name, one in fitted.items()}
    words = run(bare, "--models", make("export", wide), "-o", "p.h5").stdout
    assert words.endswith("\nnone of 49 frames exceeds a threshold\n")


def test_what_was_not_fitted_is_no_error_bar(run, make, fitted, bare):
    few = replace(fitted["energy"], fitted=False, verdict="undetermined", pairs=5, bars_from="")
    args = (bare, "--models", make("part", {"energy": few, "forces": fitted["forces"]}))
    words = run(*args, "-o", "part.h5").stdout
    assert words.count("not calibrated") == 1
    reasons = "energy (undetermined, 5 pairs), stress (no tolerance)"
    assert f"\nno sigma, because not calibrated: {reasons}\n" in words
    assert "energy: sigma" not in words
    assert "forces: sigma (calibrated error bar) " in words
    assert set(files.error_bars("part.h5")) == {"forces", "forces_90", "threshold_ratio"}
    answer = json.loads(run(*args, "-o", "part.h5", "--json").stdout)["calibrated"]
    assert answer["energy"] == {
        "fitted": False, "verdict": "undetermined", "pairs": 5,
        "tolerance": fitted["energy"].tolerance, "bars_from": "",
        "bars_frames": fitted["energy"].bars_frames,
    }  # fmt: skip
    args = (bare, "--models", make("none", {"energy": few}), "-o", "none.h5")
    words = run(*args).stdout
    assert "calibrated: energy (undetermined, 5 pairs), forces (no tolerance), stress (" in words
    assert "calibrated error bar" not in words
    assert "threshold" not in words
    assert files.error_bars("none.h5") == {}
    with h5py.File("none.h5") as file:
        assert "calibrated" not in file
    assert json.loads(run(*args, "--json").stdout)["doubtful"] == []


def test_a_calibration_is_not_lent_to_other_committees(run, make, fitted, bare, folder):
    two = make("two", fitted, members=("m0", "m1"))
    result = run(bare, "--models", two, folder / "m2.toy", "-o", "p.h5")
    assert "note: no calibrated error bars: a calibration is valid for its own c" in result.stderr
    assert "calibrated" not in result.stdout
    assert Predictions.read("p.h5").members == MEMBERS
    assert files.error_bars("p.h5") == {}
    assert run(bare, "--models", *(two / "models").iterdir(), "-o", "p.h5").stderr == ""


def test_a_committee_of_one_has_no_bars(run, make, fitted, bare):
    words = run(bare, "--models", make("lonely", fitted, members=("m1",)), "-o", "p.h5").stdout
    assert "49 frames evaluated with 1 model: " in words
    assert "no sigma, because the committee has one member" in words
    assert "calibrated error bar" not in words


@pytest.mark.parametrize("kind", ["committee", "toy"])
def test_the_kind_may_be_named(run, make, fitted, bare, kind):
    run(bare, "--models", make("export", fitted), "--kind", kind, "-o", "p.h5")
    assert Predictions.read("p.h5").members == MEMBERS


@pytest.mark.parametrize(
    "properties",
    [
        {"forces": {"slope": "x", "fitted": True}},
        {"forces": {"slope": None, "fitted": True}},
        {"charges": {"slope": 1.0, "fitted": True}},
    ],
)
def test_a_damaged_calibration_is_refused(run, make, fitted, bare, properties):
    path = make("export", fitted) / "calibration.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"properties": properties}))
    failed = run(bare, "--models", "export", "-o", "p.h5", status=2)
    assert "export/calibration.json: " in failed.stderr
    assert "calibration of '" in failed.stderr
    assert not path.parent.with_name("p.h5").exists()


def test_frames_that_are_not_finite_are_doubtful():
    delta = {"forces": np.array([0.1, np.inf]), "stress": np.array([0.2, np.inf])}
    has_stress = np.array([False, True])
    found = calibrated(delta, has_stress, {"forces": Trust(2.0, math.inf)})
    np.testing.assert_array_equal(found["forces"], [0.2, np.inf])
    np.testing.assert_array_equal(found["threshold_ratio"], [0.0, np.inf])
    assert calibrated(delta, has_stress, {}) == {}


def test_the_threshold_ratio_of_an_older_file_is_read(make_dataset, predict, tmp_path):
    found, path = predict(make_dataset(3)), tmp_path / "p.h5"
    trust = {"forces": Trust(2.0, 0.1)}
    with files.writing(path, found.n_atoms, found.members, trust=trust) as file:
        file.add(found)
    now = files.error_bars(path)
    assert set(now) == {"forces", "threshold_ratio"}
    with h5py.File(path, "r+") as file:
        del file["calibrated/excess"]
        file.move("calibrated/threshold_ratio", "calibrated/excess")
    before = files.error_bars(path)
    assert before.keys() == now.keys()
    np.testing.assert_array_equal(before["threshold_ratio"], now["threshold_ratio"])


def test_a_program_still_finds_the_threshold_ratio_by_its_former_name(
    make_dataset, predict, tmp_path
):
    found, path = predict(make_dataset(3)), tmp_path / "p.h5"
    for trust in ({}, {"forces": Trust(2.0, 0.1)}):
        with files.writing(path, found.n_atoms, found.members, trust=trust) as file:
            file.add(found)
        with h5py.File(path) as file:
            assert ("calibrated/excess" in file) == bool(trust)
    with h5py.File(path) as file:
        ratio, former = (file[f"calibrated/{name}"] for name in ("threshold_ratio", "excess"))
        assert ratio[:].any()
        np.testing.assert_array_equal(former[:], ratio[:])
        assert former == ratio, "one column with two names"


def test_json_has_no_infinity(make_dataset, predict, tmp_path):
    found = predict(make_dataset(3))
    found.forces[1, found.offsets[1]] = np.inf
    trust = {"forces": Trust(2.0, 1e3)}
    with files.writing(tmp_path / "p.h5", found.n_atoms, found.members, trust=trust) as file:
        file.add(found)
    calibration = {"forces": replace(Calibration.given("forces", 1e3), slope=2.0)}
    answer = Calibrated(calibration).content(tmp_path / "p.h5")
    json.dumps(answer, allow_nan=False)
    assert answer["doubtful"] == [
        {"frame": 1, "id": found.ids[1], "threshold_ratio": None, "excess": None}
    ]
    forces = answer["calibrated"]["forces"]
    assert (forces["largest"], forces["beyond"]) == (None, 1)


# ── select, with the thresholds of an export ──────────────────────────────────
@pytest.fixture
def select(run, folder):
    def call(thresholds, status=0):
        if not Path("p.h5").exists():
            models = [folder / f"{name}.toy" for name in MEMBERS]
            run(folder / "frames.h5", "--models", *models, "-o", "p.h5")
        args = ("select", "p.h5", "--thresholds", thresholds, "--json", "-o", "next.h5")
        result = CliRunner().invoke(main, [str(a) for a in (*args, "--audit", "0")])
        assert result.exit_code == status, result.output
        return result

    return call


def test_thresholds_of_an_export_select_what_its_calibration_flags(make, fitted, select):
    made = make("export", fitted)
    Path("thresholds.json").write_text(
        json.dumps({name: one.to_dict() for name, one in fitted.items()})
    )
    wanted = json.loads(select("thresholds.json").stdout)
    found = [select(place) for place in (made, made / "calibration.json")]
    assert all(json.loads(result.stdout) == wanted for result in found)
    assert all(result.stderr == "" for result in found)
    delta = Predictions.read("p.h5").disagreement()
    beyond = np.any([delta[name] > one.threshold for name, one in fitted.items()], axis=0)
    assert 0 < beyond.sum() < len(beyond)
    assert len(wanted["flagged"]) == beyond.sum()


def test_a_threshold_that_was_never_fitted_is_called_so(make, fitted, select):
    unsure = replace(fitted["forces"], fitted=False, verdict="undetermined", pairs=5)
    result = select(make("export", fitted | {"forces": unsure}))
    assert result.stderr.startswith(
        "warning: forces: undetermined, no threshold could be fitted (5 pairs, a fit needs 7 more)"
    )
    assert result.stderr.count("warning") == 1


def test_an_export_without_any_calibration_has_no_thresholds(make, select):
    failed = select(make("export", {}), status=2)
    assert "export: has no calibrated property; give numbers: " in failed.stderr
    assert not Path("next.h5").exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": "other"}, "not a calibration of trainspot"),
        ({"format_version": None}, "its format_version is damaged"),
        ({"format_version": "x"}, "its format_version is damaged"),
        ({"properties": {"forces": {"slope": 1.0, "fitted": True}}}, "not a file of calibrations"),
        ({"properties": {}, "models": 3}, "the list of models or properties is damaged"),
    ],
)
def test_a_damaged_calibration_of_an_export_is_refused(make, fitted, select, change, complaint):
    path = make("export", fitted) / "calibration.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert complaint in select(path, status=2).stderr


@pytest.mark.parametrize("threshold", [0.0, math.inf, "large", None])
def test_a_threshold_is_a_positive_number(fitted, select, tmp_path, threshold):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"forces": fitted["forces"].to_dict() | {"threshold": threshold}}))
    assert "not a file of calibrations" in select(path, status=2).stderr
    path.write_text(json.dumps({"force": fitted["forces"].to_dict()}))
    assert "not a file of calibrations" in select(path, status=2).stderr
