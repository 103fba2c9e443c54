"""Real MACE: training, restarting, fine-tuning; and predictions against MACE's own calculator."""

from __future__ import annotations

import json
import os
import subprocess

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.calculators.emt import EMT

from trainspot import io
from trainspot.common.errors import DataError, InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels
from trainspot.models.mace import MacePotential
from trainspot.models.potential import Potential, kind_of
from trainspot.testing import check_potential, check_trainer
from trainspot.train.mace import MaceSettings, MaceTrainer
from trainspot.train.run import find_executable

pytestmark = pytest.mark.engine

SEED = 31


def emt_frames(numbers, n_frames, seed):
    """Rattled, strained fcc cells with EMT labels; every fourth one validates."""
    rng, frames = np.random.default_rng(seed), []
    for row in range(n_frames):
        atoms = bulk("Cu", a=3.8, cubic=True)
        atoms.numbers[:] = numbers
        atoms.set_cell(atoms.cell @ (np.eye(3) + rng.uniform(-0.05, 0.05, (3, 3))), True)
        atoms.positions += rng.normal(0, 0.1, (4, 3))
        atoms.calc = EMT()
        labels = Labels(
            atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(False), "emt"
        )
        split = "validation" if row % 4 == 3 else "train"
        frames.append(Frame.from_atoms(atoms, labels=labels, split=split))
    return frames


@pytest.fixture(scope="module")
def train(tiny_mace):
    def train(folder, dataset, **changes):
        starts = {key: changes.pop(key) for key in ("start", "checkpoint") if key in changes}
        settings = MaceSettings(**(tiny_mace | changes))
        MaceTrainer.write_inputs(folder, dataset, settings, SEED, **starts)
        command = [find_executable(MaceTrainer.executable), *MaceTrainer.arguments(settings)]
        threads = {"OMP_NUM_THREADS": "1"}
        with (folder / "out").open("w") as out:
            subprocess.run(command, cwd=folder, env=os.environ | threads, stdout=out, stderr=out)  # noqa: PLW1510
        return MaceTrainer.read_outputs(folder)

    return train


@pytest.fixture(scope="module")
def dataset():
    return Dataset.from_frames(emt_frames([29, 79, 29, 29], 8, 1))


@pytest.fixture(scope="module")
def trained(dataset, train, tmp_path_factory):
    """A tiny copper-gold model: no isolated atoms, a batch size larger than the training set."""
    return train(tmp_path_factory.mktemp("mace"), dataset)


@pytest.fixture(scope="module")
def model(trained):
    return MacePotential.load(trained.model)


@pytest.fixture(scope="module")
def frames(dataset):
    """A crystal, a tiny cell with many images, a slab, a molecule, an atom."""
    crystal = dataset[0]
    primitive = Frame.from_atoms(bulk("Au", a=3.9))
    slab = Frame.make(
        crystal.numbers, crystal.positions, crystal.cell * [[1], [1], [4]], (True, True, False)
    )
    molecule = Frame.make([29, 79], [[0, 0, 0], [0, 1.2, 2.1]])
    return [crystal, primitive, slab, molecule, Frame.make([79], [[3, 2, 1]])]


def predict(model, *frames):
    return model.predict(model.prepare(list(frames)))


# ── training ──────────────────────────────────────────────────────────────────
def test_a_training_leaves_model_checkpoint_metrics_and_a_warning(trained):
    assert [epoch["epoch"] for epoch in trained.metrics] == [0, 1, 2]
    assert trained.metrics[2]["train_loss"] < trained.metrics[0]["train_loss"]
    assert {"loss", "rmse_f", "rmse_e_per_atom", "rmse_stress"} <= trained.metrics[0].keys()
    assert trained.checkpoint.name.startswith(f"mace_run-{SEED}_epoch-")
    assert "fitted by least squares" in trained.warnings[0]
    assert kind_of(trained.model) == "mace"


@pytest.mark.slow
def test_the_contract_of_trainers(tiny_mace, tmp_path):
    check_trainer("mace", tmp_path, settings=tiny_mace, diverging={"lr": 1e30})


def test_a_checkpoint_is_continued_from_not_started_over(trained, dataset, tmp_path, train):
    result = train(tmp_path, dataset, checkpoint=trained.checkpoint, max_num_epochs=5)
    first = int(trained.checkpoint.stem.rpartition("-")[2])
    assert [epoch["epoch"] for epoch in result.metrics] == list(range(first, 5))
    before = trained.metrics[0]["train_loss"]
    assert result.metrics[0]["train_loss"] < before


def test_fine_tuning_on_fewer_elements_starts_near_the_old_model(trained, tmp_path, train):
    copper = Dataset.from_frames(emt_frames([29] * 4, 4, 2))
    e0s = {"Cu": float(MacePotential.load(trained.model)._e0s[0])}
    result = train(
        tmp_path, copper, start=trained.model, lr=1e-9, max_num_epochs=1, e0s=e0s, batch_size=2
    )
    config = (tmp_path / "config.yaml").read_text()
    assert "foundation_model: start.model" in config
    tuned = MacePotential.load(result.model)
    assert tuned.numbers == (29,)
    old, new = predict(MacePotential.load(trained.model), copper[0]), predict(tuned, copper[0])
    assert np.allclose(old[0].forces, new[0].forces, atol=1e-5)


def test_programs_can_read_what_is_printed(trained, dataset, tmp_path):
    """MACE prints a line about optional libraries when it is imported."""
    io.write(dataset, tmp_path / "frames.h5")
    command = [find_executable("trainspot"), "evaluate", "frames.h5", "--models", trained.model]
    done = subprocess.run(
        [*command, "-o", "p.h5", "--json"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["frames"] == len(dataset)
    assert done.stderr == ""


def test_torch_is_asked_for_huge_pages_unless_told_otherwise(trained, monkeypatch):
    name = "THP_MEM_ALLOC_ENABLE"
    monkeypatch.delenv(name, raising=False)
    MacePotential.load(trained.model)
    assert os.environ[name] == "1"
    monkeypatch.setenv(name, "0")
    MacePotential.load(trained.model)
    assert os.environ[name] == "0"


# ── predictions ───────────────────────────────────────────────────────────────
def test_predictions_are_those_of_maces_own_calculator(trained, model, frames):
    from mace.calculators import MACECalculator

    calculator = MACECalculator(
        model_paths=str(trained.model), device="cpu", default_dtype="float64"
    )
    for frame, found in zip(frames, predict(model, *frames), strict=True):
        atoms = frame.to_atoms()
        atoms.calc = calculator
        assert found.energy == pytest.approx(atoms.get_potential_energy(), abs=1e-8)
        assert np.allclose(found.forces, atoms.get_forces(), atol=1e-8)
        if frame.pbc.all():
            assert np.allclose(found.stress, atoms.get_stress(voigt=False), atol=1e-8)


def test_the_contract_of_a_potential(model, frames):
    check_potential(model, frames)


def test_stress_belongs_to_periodic_frames_only(model, frames):
    found = predict(model, *frames)
    assert [labels.stress is not None for labels in found] == [True, True, True, False, False]


def test_stress_of_a_slab_refers_to_the_volume_of_its_own_cell(model, frames):
    # MACE's calculator divides by the volume of a cell extended along the vacuum
    slab = frames[2]
    wider = Frame.make(slab.numbers, slab.positions, slab.cell * [[1], [1], [2]], slab.pbc)
    once, twice = predict(model, slab, wider)
    assert np.allclose(once.stress, 2 * twice.stress, atol=1e-10)


def test_members_share_what_one_of_them_prepared(trained, model, frames):
    twin = MacePotential.load(trained.model)
    assert isinstance(twin, Potential)
    assert twin.graph_key == model.graph_key
    prepared = model.prepare(frames)
    first = model.predict(prepared)
    for again in (twin.predict(prepared), model.predict(prepared)):
        for one, other in zip(first, again, strict=True):
            assert one.energy == other.energy
            assert np.array_equal(one.forces, other.forces)


def test_single_precision_is_close_and_does_not_share(trained, model, frames):
    single = MacePotential.load(trained.model, dtype="float32")
    assert single.graph_key != model.graph_key
    for one, other in zip(predict(model, *frames), predict(single, *frames), strict=True):
        assert other.energy == pytest.approx(one.energy, abs=1e-4)
        assert np.allclose(other.forces, one.forces, atol=1e-4)
    with pytest.raises(InputError, match="float16"):
        MacePotential.load(trained.model, dtype="float16")


def test_a_device_that_is_not_there_is_refused(trained, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="no GPU here that torch can use, for device 'cuda'"):
        MacePotential.load(trained.model, device="cuda")
    with pytest.raises(InputError, match="unknown device 'gpu'"):
        MacePotential.load(trained.model, device="gpu")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_predictions_on_a_mocked_gpu_are_those_of_the_processor(
    trained, frames, monkeypatch, mocked_gpu, dtype
):
    """There is no GPU here: see ``conftest`` for what takes its place."""
    expected = predict(MacePotential.load(trained.model, dtype=dtype), *frames)
    assert mocked_gpu.operations == 0
    read, places = torch.load, []

    def load(path, *, map_location, **options):
        places.append(map_location)
        return read(path, map_location="cpu", **options)  # the mock cannot be read to from a file

    monkeypatch.setattr("torch.load", load)
    found = predict(MacePotential.load(trained.model, dtype=dtype, device="meta"), *frames)
    assert mocked_gpu.operations > 500
    assert places == [torch.device("meta")]
    for one, other in zip(found, expected, strict=True):
        assert one.energy == other.energy
        assert np.array_equal(one.forces, other.forces)
        assert (one.stress is None) == (other.stress is None)
        assert one.stress is None or np.array_equal(one.stress, other.stress)


def test_a_tensor_that_is_not_moved_fails_on_the_mocked_gpu(trained, frames, mocked_gpu):
    model = torch.load(trained.model, map_location="cpu", weights_only=False)
    there = MacePotential(model, device="meta")
    prepared = there.prepare(frames)
    prepared["graph"]["unit_shifts"] = prepared["graph"]["unit_shifts"].cpu()
    with pytest.raises(RuntimeError, match="not on the device"):
        there.predict(prepared)
    assert mocked_gpu.operations


def test_foreign_elements_and_damaged_files_are_refused(trained, model, tmp_path):
    with pytest.raises(InputError, match="does not know Si"):
        model.prepare([Frame.make([14], [[0, 0, 0]])])
    path = tmp_path / "half.model"
    path.write_bytes(trained.model.read_bytes()[:5000])
    with pytest.raises(DataError, match="not a MACE model"):
        MacePotential.load(path)
    (tmp_path / "notes.json").write_text(json.dumps({}))
    assert not MacePotential.recognises(tmp_path / "notes.json")
