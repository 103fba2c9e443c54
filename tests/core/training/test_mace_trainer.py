"""The MACE trainer without MACE: what it writes, and what it makes of what MACE left."""

from __future__ import annotations

import ast
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from ase.io import read
from pydantic import ValidationError

from trainspot.common.errors import (
    InputError,
    OutputMissingError,
    OutputUnreadableError,
    TrainingDivergedError,
)
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.engine import Preflight
from trainspot.train.mace import MaceSettings, MaceTrainer

REAL = Path(__file__).parent / "mace_restarted"
SEED = 123


@pytest.fixture
def dataset(labelled_frames):
    """Eight training, two validation, two test frames of silicon, and its atom."""
    sets = ["train"] * 8 + ["validation"] * 2 + ["test"] * 2
    frames = [frame.with_(split=s) for frame, s in zip(labelled_frames, sets, strict=True)]
    labels = Labels(-101.25, np.zeros((1, 3)), None, "made-up")
    return Dataset.from_frames(
        [*frames, Frame.make([14], [[0, 0, 0]], labels=labels, split="train")]
    )


def written(directory, dataset, *, settings=None, **kwargs):
    MaceTrainer.write_inputs(directory, dataset, settings or MaceSettings(), SEED, **kwargs)
    return yaml.safe_load((directory / "config.yaml").read_text())


# ── inputs ────────────────────────────────────────────────────────────────────
def test_the_configuration_is_what_it_was(dataset, tmp_path, file_regression):
    settings = MaceSettings(
        num_channels=8, max_L=0, loss="universal", ema_decay=0.99, stage_two=1500,
        extra={"radial_MLP": "[16, 16]"},
    )  # fmt: skip
    written(tmp_path, dataset, settings=settings)
    file_regression.check((tmp_path / "config.yaml").read_text(), extension=".yaml")


def test_frames_of_the_test_set_are_not_written(dataset, tmp_path):
    written(tmp_path, dataset)
    train = read(tmp_path / "train.extxyz", ":")
    validation = read(tmp_path / "validation.extxyz", ":")
    assert [atoms.info["frame_id"] for atoms in train] == dataset.ids[:8]
    assert [atoms.info["frame_id"] for atoms in validation] == dataset.ids[8:10]


def test_labels_and_geometry_arrive_to_the_last_bit(dataset, tmp_path):
    written(tmp_path, dataset)
    atoms, frame = read(tmp_path / "train.extxyz", 3), dataset[3]
    assert np.array_equal(atoms.positions, frame.positions)
    assert np.array_equal(atoms.cell.array, frame.cell)
    assert atoms.info["REF_energy"] == frame.labels.energy
    assert np.array_equal(atoms.arrays["REF_forces"], frame.labels.forces)
    assert np.array_equal(atoms.info["REF_stress"].reshape(3, 3), frame.labels.stress)


def test_metadata_of_the_user_cannot_steer_the_training(dataset, tmp_path):
    frames = [
        frame.with_(info={"config_weight": 0.0, "head": "x"}, arrays={"REF_charges": np.ones(8)})
        for frame in dataset[:10]
    ]
    written(tmp_path, Dataset.from_frames(frames))
    atoms = read(tmp_path / "train.extxyz", 0)
    assert not {"config_weight", "head"} & atoms.info.keys()
    assert "REF_charges" not in atoms.arrays


def test_stress_is_left_out_where_a_direction_is_not_periodic(dataset, tmp_path):
    bulk = dataset[0]
    slab = Frame.make(
        bulk.numbers, bulk.positions, bulk.cell, (True, True, False),
        labels=bulk.labels, split="train",
    )  # fmt: skip
    written(tmp_path, Dataset.from_frames([bulk, slab]))
    first, second = read(tmp_path / "train.extxyz", ":")
    assert "REF_stress" in first.info
    assert "REF_stress" not in second.info
    assert "REF_forces" in second.arrays


def test_the_same_inputs_make_the_same_bytes(dataset, tmp_path):
    contents = []
    for name in "ab":
        folder = tmp_path / name
        folder.mkdir()
        written(folder, dataset)
        contents.append({p.name: p.read_bytes() for p in folder.iterdir()})
    assert contents[0] == contents[1]


def test_batches_never_exceed_the_frames_there_are(dataset, tmp_path):
    config = written(tmp_path, dataset, settings=MaceSettings(batch_size=50, valid_batch_size=50))
    assert config["batch_size"] == 8
    assert config["valid_batch_size"] == 2


def test_reference_energies_come_from_the_isolated_atom_which_is_not_trained_on(dataset, tmp_path):
    config = written(tmp_path, dataset)
    assert ast.literal_eval(config["E0s"]) == {14: -101.25}
    assert all(len(atoms) == 8 for atoms in read(tmp_path / "train.extxyz", ":"))


def test_without_isolated_atoms_they_are_fitted_with_a_warning(dataset, tmp_path):
    config = written(tmp_path, dataset[:12])
    energy = np.mean([frame.labels.energy for frame in dataset[:8]]) / 8
    assert ast.literal_eval(config["E0s"])[14] == pytest.approx(energy)
    warnings = json.loads((tmp_path / "notes.json").read_text())["warnings"]
    assert any("isolated atom of Si" in text for text in warnings)


def test_given_reference_energies_win(dataset, tmp_path):
    config = written(tmp_path, dataset, settings=MaceSettings(e0s={"Si": -1.5, "C": -2.0}))
    assert ast.literal_eval(config["E0s"]) == {14: -1.5}
    with pytest.raises(InputError, match="no reference energy for Si"):
        written(tmp_path, dataset, settings=MaceSettings(e0s={"C": -2.0}))


def remarks(dataset, settings, *more):
    """What the trainer says of these frames before a campaign, without engines of other stages."""
    to_label = [*dataset.unlabelled(), *more]
    facts = Preflight(settings, dataset, here=True, unlabelled=lambda: to_label)
    return [(remark.level, remark.text) for remark in MaceTrainer.preflight(facts)]


def test_elements_without_a_given_reference_energy_are_named_before_a_campaign(dataset):
    text = "train.e0s: no energy of an isolated atom of C, Si; add it, or leave e0s out"
    carbon = Frame.make([6, 6], np.eye(3)[:2])
    both = Dataset.from_frames([*dataset, carbon])
    assert remarks(both, MaceSettings(e0s={"Ge": -1.0})) == [("error", text)]
    assert remarks(both, MaceSettings(e0s={"Si": -1.0, "C": -2.0, "Ge": -1.0})) == []
    assert remarks(both, MaceSettings()) == []


def test_an_element_that_a_strategy_may_replace_may_lack_a_reference_energy(dataset):
    unlabelled = dataset.without_labels()
    ((level, text),) = remarks(unlabelled, MaceSettings(e0s={"Ge": -1.0}))
    assert level == "warning"
    assert "isolated atom of Si;" in text


def test_an_isolated_atom_of_the_augmentation_needs_a_reference_energy_too(dataset):
    given, carbon = MaceSettings(e0s={"Si": -1.0}), Frame.make([6], np.zeros((1, 3)))
    ((level, text),) = remarks(dataset, given, carbon)
    assert level == "warning"
    assert "isolated atom of C;" in text


def test_a_reference_energy_of_no_element_is_refused():
    with pytest.raises(ValidationError, match="'Sj' is not an element"):
        MaceSettings(e0s={"Si": -1.0, "Sj": -2.0})


def test_no_validation_frames_means_a_warning(dataset, tmp_path):
    written(tmp_path, dataset[:8])
    assert len(read(tmp_path / "validation.extxyz", ":")) == 8
    assert "no validation frames" in (tmp_path / "notes.json").read_text()


def test_isolated_atoms_alone_are_nothing_to_train_on(dataset, tmp_path):
    with pytest.raises(InputError, match="isolated atoms"):
        written(tmp_path, dataset[12:])
    assert not list(tmp_path.iterdir())


def test_an_element_of_the_validation_set_alone_is_refused(dataset, tmp_path):
    labels = Labels(1.0, np.zeros((2, 3)), None, "made-up")
    odd = Frame.make([6, 6], np.eye(3)[:2], labels=labels, split="validation")
    with pytest.raises(InputError, match="C occurs in the validation set"):
        written(tmp_path, Dataset.from_frames([*dataset, odd]))


def test_fine_tuning_starts_from_the_file_without_replay(dataset, tmp_path):
    start = tmp_path / "old.model"
    start.write_bytes(b"weights")
    config = written(tmp_path, dataset, start=start)
    assert (tmp_path / config["foundation_model"]).read_bytes() == b"weights"
    assert config["multiheads_finetuning"] is False
    replay = MaceSettings(extra={"multiheads_finetuning": True})
    with pytest.raises(InputError, match="pt_train_file"):
        written(tmp_path, dataset, start=start, settings=replay)


def test_a_checkpoint_goes_where_mace_looks_and_belongs_to_the_seed(dataset, tmp_path):
    good, other = tmp_path / f"mace_run-{SEED}_epoch-7.pt", tmp_path / "mace_run-5_epoch-7.pt"
    for path in (good, other):
        path.write_bytes(b"state")
    config = written(tmp_path, dataset, checkpoint=good)
    assert config["restart_latest"] is True
    assert (tmp_path / "checkpoints" / good.name).read_bytes() == b"state"
    with pytest.raises(InputError, match="not a checkpoint of this member"):
        written(tmp_path, dataset, checkpoint=other)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rmax": 4}, "Extra inputs"),
        ({"hidden_irreps": "8x0e"}, "its parts: num_channels and max_L"),
        ({"r_max": float("nan")}, "r_max"),
        ({"stage_two": 10, "max_num_epochs": 10}, "before max_num_epochs"),
        ({"max_L": 2, "max_ell": 1}, "max_L must not exceed"),
        ({"extra": {"seed": 1}}, "'seed' is decided by trainspot"),
        ({"extra": {"lr": 1}}, "'lr' has a setting of its own"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        MaceSettings(**values)


def test_every_setting_explains_itself():
    assert all(field.description for field in MaceSettings.model_fields.values())


def test_half_the_batch_until_there_is_none():
    smaller = MaceTrainer.with_half_batch({"batch_size": 5, "lr": 0.1})
    assert smaller == {"batch_size": 2, "valid_batch_size": 5, "lr": 0.1}
    assert MaceTrainer.with_half_batch({"batch_size": 1, "valid_batch_size": 1}) is None


# ── outputs ───────────────────────────────────────────────────────────────────
@pytest.fixture
def results(tmp_path):
    """The real folder of a restarted training, with archives for model and checkpoints."""
    folder = tmp_path / "results_of_mace"
    shutil.copytree(REAL, folder)
    (folder / "checkpoints").mkdir()
    for name in ("mace.model", "checkpoints/mace_run-11_epoch-4.pt"):
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("data.pkl", b"")
    return folder


def append(folder, text):
    path = folder / "results" / "mace_run-11_train.txt"
    path.write_text(path.read_text() + text)


def test_real_results(results, data_regression):
    found = MaceTrainer.read_outputs(results)
    assert found.model.name == "mace.model"
    assert found.checkpoint.name == "mace_run-11_epoch-4.pt"
    assert not found.warnings
    assert [epoch["epoch"] for epoch in found.metrics] == [0, 1, 2, 3, 4]
    assert "time" not in found.metrics[0]
    repeated = found.metrics[2]  # done twice; the first time its loss was 403.9
    assert repeated["train_loss"] == pytest.approx((567.6769745988653 + 232.46814320645214) / 2)
    data_regression.check({"metrics": found.metrics})


def test_progress_counts_validated_epochs(results, tmp_path):
    assert MaceTrainer.progress(results, MaceSettings(max_num_epochs=10)) == 0.5
    assert MaceTrainer.progress(tmp_path, MaceSettings()) == 0.0


def test_unknown_and_missing_metrics_are_no_reason_to_fail(results):
    append(results, '{"mode": "eval", "epoch": 9, "rmse_new": 0.5, "rmse_stress": null}\n')
    assert MaceTrainer.read_outputs(results).metrics[-1] == {"epoch": 9, "rmse_new": 0.5}


def test_the_model_of_stage_two_is_preferred(results):
    shutil.copy(results / "mace.model", results / "mace_stagetwo.model")
    assert MaceTrainer.read_outputs(results).model.name == "mace_stagetwo.model"


def test_warnings_of_mace_and_ours_are_passed_on(results):
    (results / "notes.json").write_text('{"warnings": ["ours"]}')
    with (results / "logs" / "mace_run-11.log").open("a") as log:
        log.write("2026-01-01 00:00:00.000 WARNING: replay switched off\n" * 2)
    assert MaceTrainer.read_outputs(results).warnings == ["ours", "MACE: replay switched off"]


@pytest.mark.parametrize("line", ['"mode": "opt"', '"mode": "eval"'])
@pytest.mark.parametrize("number", ["NaN", "Infinity"])
def test_a_loss_that_is_no_number_is_a_divergence(results, line, number):
    append(results, f'{{"loss": {number}, {line}, "epoch": 5}}\n')
    with pytest.raises(TrainingDivergedError, match="epoch 5"):
        MaceTrainer.read_outputs(results)


def test_a_divergence_names_the_loss_the_epoch_and_what_was_before(results):
    append(results, '{"loss": 14.5, "mode": "opt", "epoch": 5}\n')
    append(results, '{"loss": NaN, "mode": "opt", "epoch": 5}\n')
    with pytest.raises(TrainingDivergedError) as caught:
        MaceTrainer.read_outputs(results)
    found = caught.value.what
    assert found.startswith("the loss is not finite in epoch 5: nan (before: training 14.5 in ")
    assert "validation" in found
    assert "in epoch 4" in found


def test_a_start_that_diverges_is_before_the_first_epoch(results):
    path = next(results.glob("results/*_train.txt"))
    path.write_text('{"loss": Infinity, "mode": "eval", "epoch": null}\n')
    with pytest.raises(TrainingDivergedError, match="not finite before the first epoch: inf"):
        MaceTrainer.read_outputs(results)


def test_a_last_line_cut_off_is_left_out(results):
    append(results, '{"loss": 1.0, "mode": "ev')
    assert len(MaceTrainer.read_outputs(results).metrics) == 5


def test_a_broken_line_elsewhere_is_an_error_with_its_number(results):
    append(results, 'oops\n{"loss": 1.0, "mode": "eval", "epoch": 5}\n')
    with pytest.raises(OutputUnreadableError, match=r"train\.txt:21: is not JSON"):
        MaceTrainer.read_outputs(results)


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("mace.model", None, OutputMissingError),
        ("mace.model", b"PK\x03\x04 half a model", OutputUnreadableError),
        ("results/mace_run-11_train.txt", None, OutputMissingError),
        ("results/mace_run-11_train.txt", b"", OutputUnreadableError),
        ("notes.json", b"{", OutputUnreadableError),
    ],
)
def test_missing_and_damaged_files(results, name, content, error):
    (results / name).unlink()
    if content is not None:
        (results / name).write_bytes(content)
    with pytest.raises(error, match=Path(name).name.replace("mace_run-11", ".*")):
        MaceTrainer.read_outputs(results)


def test_the_latest_whole_checkpoint_counts(results):
    folder = results / "checkpoints"
    shutil.copy(folder / "mace_run-11_epoch-4.pt", folder / "mace_run-11_epoch-12.pt")
    (folder / "mace_run-11_epoch-30.pt").write_bytes(b"PK cut off")
    (folder / "other.pt").write_bytes(b"")
    assert MaceTrainer.read_checkpoint(results).name == "mace_run-11_epoch-12.pt"
    shutil.rmtree(folder)
    assert MaceTrainer.read_checkpoint(results) is None
