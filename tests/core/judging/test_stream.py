"""Evaluating from file to file: the same numbers in any number of processes, constant memory."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest

from trainspot import io
from trainspot.common import processes
from trainspot.common.errors import InputError, NonFiniteError, RunError
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.evaluate import batch, stream
from trainspot.evaluate.batch import evaluate
from trainspot.predictions import files
from trainspot.predictions.predictions import Predictions, RmseSum


@pytest.fixture
def models(folder):
    return stream.Models(tuple(folder / f"m{j}.toy" for j in range(3)))


@pytest.fixture
def frames(folder):
    return io.read(folder / "frames.h5")


def test_the_file_holds_what_memory_would(frames, models, tmp_path):
    done = []
    errors = stream.evaluate_to_file(
        frames, models, tmp_path / "p.h5", max_atoms=8, workers=1, source="f", progress=done.append
    )
    found = Predictions.read(tmp_path / "p.h5")
    whole = evaluate(frames, models.load(), names=batch.member_names(models.paths), source="f")
    assert (found.ids, found.members, found.source) == (whole.ids, whole.members, "f")
    for name in ("energy", "forces", "stress", "projector", "offsets"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), atol=1e-12)
    assert done == [4] * 12, "slabs of two batches of two frames"
    for name, values in whole.member_rmse(frames).items():
        np.testing.assert_allclose(errors.rmse[name], values)
    assert errors.by_set.keys() == {"train", "validation"}
    for part, rmse in errors.by_set.items():
        chosen = frames.subset(part)
        wanted = whole.select(chosen.ids).member_rmse(chosen)
        assert rmse.keys() == wanted.keys()
        for name, values in wanted.items():
            np.testing.assert_allclose(rmse[name], values)
    found.write(tmp_path / "again.h5")
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "p.h5").read_bytes()


def test_processes_change_no_bit(folder, models, tmp_path):
    with io.opened(folder / "frames.h5") as frames:
        one = stream.evaluate_to_file(frames, models, tmp_path / "1.h5", max_atoms=8, workers=1)
        two = stream.evaluate_to_file(frames, models, tmp_path / "2.h5", max_atoms=8, workers=2)
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "2.h5").read_bytes()
    assert all(np.array_equal(one.rmse[name], two.rmse[name]) for name in one.rmse)


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_appears_when_it_fails(models, make_dataset, tmp_path, workers):
    silicon = make_dataset(4)  # the models know copper only
    with pytest.raises(InputError, match="does not know Si"):
        stream.evaluate_to_file(silicon, models, tmp_path / "p.h5", max_atoms=1, workers=workers)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_is_no_model_is_named(frames, models, tmp_path, workers):
    (tmp_path / "foreign.json").write_text("{}")
    both = stream.Models((models.paths[0], tmp_path / "foreign.json"))
    with pytest.raises(InputError, match=r"foreign\.json: no installed model kind"):
        stream.evaluate_to_file(frames, both, tmp_path / "p.h5", max_atoms=8, workers=workers)
    assert not (tmp_path / "p.h5").exists()


def test_a_process_that_dies_is_a_failed_run(frames, models, tmp_path, monkeypatch):
    def broken(*_):
        found = Future()
        found.set_exception(BrokenProcessPool("A process in the process pool was terminated"))
        return SimpleNamespace(submit=lambda *_: found)

    monkeypatch.setattr(processes, "pool", lambda *_: nullcontext(broken()))
    with pytest.raises(RunError, match="a process that evaluated frames died"):
        stream.evaluate_to_file(frames, models, tmp_path / "p.h5", max_atoms=8, workers=2)
    assert not list(tmp_path.iterdir())


def test_a_useless_member_is_named_and_the_file_kept(frames, models, tmp_path, monkeypatch):
    def spoilt(slab, members, **options):
        found = evaluate(slab, members, **options)
        found.energy[1] = np.nan
        return found

    monkeypatch.setattr(batch, "evaluate", spoilt)
    with pytest.raises(NonFiniteError, match="m1"):
        stream.evaluate_to_file(frames, models, tmp_path / "p.h5", workers=1)
    assert not Predictions.read(tmp_path / "p.h5").is_finite.any()


def test_no_frames_and_no_models(frames, models, tmp_path):
    assert stream.evaluate_to_file(frames[:0], models, tmp_path / "p.h5").rmse == {}
    assert len(Predictions.read(tmp_path / "p.h5")) == 0
    with pytest.raises(InputError, match="no model"):
        stream.evaluate_to_file(frames, stream.Models(()), tmp_path / "q.h5")


def test_memory_does_not_grow_with_the_frames(frames, models, tmp_path):
    def peak(copies):
        path = tmp_path / f"{copies}.h5"
        hdf5.write(Dataset.concatenate([frames] * copies), path)
        tracemalloc.start()
        with io.opened(path) as opened:
            stream.evaluate_to_file(opened, models, tmp_path / "p.h5", max_atoms=32, workers=1)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(1)  # imports
    small, large = peak(24), peak(72)
    data = (72 - 24) * sum(8 * 2 * 3 * len(frame) for frame in frames)
    assert large - small < 0.5 * data


def test_an_unfinished_file_does_not_appear(tmp_path):
    def interrupted():
        with files.writing(tmp_path / "p.h5", np.array([2]), ["a"]):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_sums_of_chunks_give_the_rmse_of_the_whole(make_dataset, predict):
    dataset = make_dataset(9)
    predictions = predict(dataset)
    parts = [
        RmseSum.of(predictions.take(rows), dataset) for rows in ([0], [1, 2, 3], [4, 5, 6, 7, 8])
    ]
    together = (parts[0] + parts[1] + parts[2]).rmse()
    for name, values in predictions.member_rmse(dataset).items():
        np.testing.assert_allclose(together[name], values)
