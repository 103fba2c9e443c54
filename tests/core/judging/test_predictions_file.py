"""The HDF5 file of predictions: the layout others read, and damage that must not go unnoticed."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from trainspot.common.errors import DataError, InputError
from trainspot.data import hdf5
from trainspot.predictions import files
from trainspot.predictions.predictions import Predictions

COLUMNS = ("frame_id", "offsets", "energy", "forces", "stress", "projector")


@pytest.fixture
def predictions(make_dataset, predict):
    return predict(make_dataset(5))


def test_round_trip(predictions, tmp_path):
    predictions.write(tmp_path / "p.h5")
    back = Predictions.read(tmp_path / "p.h5")
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(predictions, name), getattr(back, name))
    assert (back.members, back.source) == (predictions.members, "")
    with (tmp_path / "p.h5").open("rb") as handle:
        assert Predictions.read(handle).ids == predictions.ids
    assert not list(tmp_path.glob(".*"))


def test_layout_is_the_contract(predictions, tmp_path):
    """The names and shapes that programs without our package rely on."""
    predictions.write(tmp_path / "p.h5")
    n, atoms = len(predictions), int(predictions.offsets[-1])
    with h5py.File(tmp_path / "p.h5") as file:
        assert file["frame_id"].shape == (n,)
        assert file["offsets"].shape == (n + 1,)
        assert file["energy"].shape == (4, n)
        assert file["forces"].shape == (4, atoms, 3)
        assert file["stress"].shape == (4, n, 3, 3)
        for name, values in predictions.disagreement().items():
            np.testing.assert_array_equal(file["disagreement"][name][...], values)
        assert set(file["disagreement"]) == {
            *("energy", "forces", "forces_p95", "forces_max", "stress")
        }


def test_equal_predictions_make_equal_files(predictions, tmp_path):
    for name in ("a.h5", "b.h5"):
        predictions.write(tmp_path / name)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_one_member_has_no_disagreement(predictions, tmp_path):
    predictions.member(2).write(tmp_path / "p.h5")
    back = Predictions.read(tmp_path / "p.h5")
    assert back.members == ("m2",)
    np.testing.assert_array_equal(back.energy, predictions.energy[2:3])


@pytest.mark.parametrize("column", COLUMNS)
def test_missing_column(predictions, tmp_path, column):
    predictions.write(tmp_path / "p.h5")
    with h5py.File(tmp_path / "p.h5", "a") as file:
        del file[column]
    with pytest.raises(DataError):
        Predictions.read(tmp_path / "p.h5")


@pytest.mark.parametrize("column", COLUMNS)
def test_short_column(predictions, tmp_path, column):
    predictions.write(tmp_path / "p.h5")
    with h5py.File(tmp_path / "p.h5", "a") as file:
        values = file[column][...]
        del file[column]
        file[column] = values[:-1]
    with pytest.raises(DataError, match="damaged"):
        Predictions.read(tmp_path / "p.h5")


def test_offsets_that_go_back(predictions, tmp_path):
    predictions.write(tmp_path / "p.h5")
    with h5py.File(tmp_path / "p.h5", "a") as file:
        file["offsets"][1] = file["offsets"][2]
    with pytest.raises(DataError, match="offsets"):
        Predictions.read(tmp_path / "p.h5")


def test_truncated_file(predictions, tmp_path):
    predictions.write(tmp_path / "p.h5")
    content = (tmp_path / "p.h5").read_bytes()
    for share in (0.0, 0.1, 0.5, 0.9):
        (tmp_path / "p.h5").write_bytes(content[: int(share * len(content))])
        with pytest.raises(DataError):
            Predictions.read(tmp_path / "p.h5")


def test_foreign_and_newer_files(predictions, make_dataset, tmp_path):
    hdf5.write(make_dataset(2), tmp_path / "dataset.h5")
    with pytest.raises(DataError, match="not a trainspot predictions file"):
        Predictions.read(tmp_path / "dataset.h5")
    predictions.write(tmp_path / "p.h5")
    with h5py.File(tmp_path / "p.h5", "a") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(DataError, match="newer"):
        Predictions.read(tmp_path / "p.h5")
    with pytest.raises(DataError, match="no such file"):
        Predictions.read(tmp_path / "nowhere.h5")


def test_frames_are_found_again(make_dataset, predict, tmp_path, monkeypatch):
    from dataclasses import replace

    dataset = make_dataset(4)
    hdf5.write(dataset, tmp_path / "frames.h5")
    p = replace(predict(dataset), source="frames.h5").take([2, 0])
    assert files.frames_of(p, tmp_path / "p.h5").ids == p.ids
    elsewhere = replace(p, source="gone.h5")
    with pytest.raises(InputError, match=r"gone\.h5.*--frames"):
        files.frames_of(elsewhere, tmp_path / "p.h5")
    assert files.frames_of(elsewhere, tmp_path / "p.h5", tmp_path / "frames.h5").ids == p.ids
    hdf5.write(make_dataset(2, seed=9), tmp_path / "other.h5")
    with pytest.raises(InputError, match="give the frames evaluated"):
        files.frames_of(p, tmp_path / "p.h5", tmp_path / "other.h5")
