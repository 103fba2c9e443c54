"""Which frames are on a map, and what is said of each."""

from __future__ import annotations

import csv
import io
import json
import sys

import numpy as np
import pytest

from trainspot import descriptors
from trainspot.common.errors import InputError, MissingExtraError, UnknownNameError
from trainspot.data.dataset import Dataset
from trainspot.maps import chart
from trainspot.maps.chart import COLOURS, EXPLORED, LABELLED, UNLABELLED, make
from trainspot.maps.choice import Limits


@pytest.fixture(scope="module")
def found(dataset, explored):
    return make(dataset, explored=explored, method="pca")


def test_everybody_is_there_once_with_a_status(found, dataset, explored):
    assert found.frames.ids == dataset.ids[:10] + explored.ids[1:]
    assert found.status == [LABELLED] * 9 + [UNLABELLED] + [EXPLORED] * 3
    assert found.points.shape == (13, 2)
    assert [str(note) for note in found.notes] == ["Left out: 1 isolated atom."]
    assert found.title == "principal components of the surroundings of the atoms (SOAP)"


def test_similar_frames_are_near(found):
    strained = found.points[6:8]
    others = np.delete(found.points, [6, 7], axis=0)
    assert np.isfinite(found.points).all()
    assert not np.allclose(strained[0], others[0])


def test_large_frames_are_left_out_and_said_so(dataset):
    assert set(make(dataset, method="pca", limits=Limits(atoms=2)).values("atoms")) == {2}
    assert str(make(dataset, method="pca", limits=Limits(atoms=2)).notes[1]) == (
        "Left out: 2 frames of more than 2 atoms (--max-atoms)."
    )
    with pytest.raises(InputError, match=r"no frame is left .*more than 1 atoms \(--max-atoms\)"):
        make(dataset, method="pca", limits=Limits(atoms=1))


def test_nothing_is_refused():
    with pytest.raises(InputError, match="no frame is left for a map; the dataset is empty"):
        make(Dataset.from_frames([]))


def test_of_many_frames_some_are_drawn_half_of_them_explored(dataset, explored):
    drawn = make(dataset, explored=explored, method="pca", limits=Limits(frames=5), seed=1)
    assert drawn.status.count(EXPLORED) == 2
    assert str(drawn.notes[-1]) == "Drawn at random: 5 of 13 frames (--max-frames)."
    assert [note.drawn for note in drawn.notes] == [False, True]
    again, other = (make(dataset, explored=explored, method="pca", limits=Limits(frames=5), seed=s)
                    for s in (1, 2))  # fmt: skip
    assert again.frames.ids == drawn.frames.ids != other.frames.ids
    order = [*dataset.ids, *explored.ids]
    assert sorted(drawn.frames.ids, key=order.index) == drawn.frames.ids
    few = make(dataset[:1], explored=explored, method="pca", limits=Limits(frames=3))
    assert few.status.count(EXPLORED) == 2
    many = make(dataset, explored=explored[1:2], method="pca", limits=Limits(frames=8))
    assert many.status.count(EXPLORED) == 1


def test_frames_that_stand_there_twice_are_drawn_once(dataset):
    twice = Dataset.concatenate([dataset[:3], dataset[:2]])
    assert make(twice, method="pca").frames.ids == dataset.ids[:3]


def test_tiny_sets_say_what_they_are(dataset):
    found = make(dataset[:2], method="tsne")
    assert found.method == "pca"
    assert [str(note) for note in found.notes] == [
        "There are too few different frames for t-SNE: these are principal components."
    ]
    assert make(dataset[:1], method="pca").points.tolist() == [[0.0, 0.0]]


def test_values_to_colour_by(found):
    assert found.values("iteration") == [0] * 8 + [1, 0, 1, 1, 1]
    assert found.values("strategy")[5:10] == ["rattle", "strain", "strain", "md", "rattle"]
    assert found.values("split")[3:7] == ["train", "test", "test", None]
    assert found.values("status") == found.status
    assert found.values("atoms")[5:7] == [2, 8]
    assert found.values("energy")[1] == pytest.approx(-4.995)
    assert found.values("energy")[9:] == [None] * 4
    assert found.values("group")[:3] == ["g0", "g1", "g0"]
    assert all(len(found.values(key)) == len(found) for key in COLOURS)
    with pytest.raises(UnknownNameError, match="unknown colour 'grou'; did you mean 'group'"):
        found.values("grou")


def test_values_that_are_no_colour_are_refused(dataset):
    listed = Dataset.from_frames([frame.with_(info={"tags": [1]}) for frame in dataset[:3]])
    with pytest.raises(InputError, match="'tags' of the frames is neither a number nor a text"):
        make(listed, method="pca").values("tags")
    numbers = Dataset.from_frames([frame.with_(info={"t": np.float64(2)}) for frame in listed])
    assert make(numbers, method="pca").values("t") == [2.0, 2.0, 2.0]


def test_the_colour_is_the_first_in_which_frames_differ(found, dataset):
    assert found.automatic() == "iteration"
    assert make(dataset[:8], method="pca").automatic() == "strategy"
    assert make(dataset[:6], method="pca").automatic() == "split"
    assert make(dataset[:2], method="pca").automatic() == "iteration"


def test_coordinates_for_other_programs(found):
    content = json.loads(found.to_json("group"))
    rows = list(csv.DictReader(io.StringIO(found.to_csv("group"))))
    assert content["descriptor"] == "structural"
    assert [row["id"] for row in content["frames"]] == found.frames.ids
    for row, plain, point in zip(content["frames"], rows, found.points, strict=True):
        assert [row["x"], row["y"]] == point.tolist() == [float(plain["x"]), float(plain["y"])]
        assert plain["group"] == row["group"]
        assert plain["split"] == (row["split"] or "")
    assert list(rows[0]) == ["id", "x", "y", "status", "iteration", "strategy", "split", "group"]


def test_what_is_not_a_number_is_not_known(dataset):
    values = [1.5, float("nan"), np.float64("inf"), None, 2.5, np.float32("nan")]
    frames = [f.with_(info={"t": v}) for f, v in zip(dataset[:6], values, strict=True)]
    found = make(Dataset.from_frames(frames), method="pca")
    assert found.values("t") == [1.5, None, None, None, 2.5, None]

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    content = json.loads(found.to_json("t"), parse_constant=refuse)
    assert [row["t"] for row in content["frames"]] == [1.5, None, None, None, 2.5, None]
    assert "nan" not in found.to_csv("t")


def test_sorep_takes_the_other_descriptor(dataset):
    told = []
    found = make(dataset[:7], descriptor="sorep", method="pca", progress=lambda *p: told.append(p))
    assert told == [(n, 7) for n in range(1, 8)]
    assert found.title == "principal components of the spectrum of the kinetic energy (SOREP)"
    assert not np.allclose(found.points, make(dataset[:7], method="pca").points)


def test_sorep_leaves_large_frames_out_by_itself(dataset, monkeypatch):
    monkeypatch.setitem(chart.MAX_ATOMS, "sorep", 4)
    assert set(make(dataset, descriptor="sorep", method="pca").values("atoms")) == {2}


def test_missing_libraries_are_told_before_work(monkeypatch):
    monkeypatch.setattr(descriptors, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match="descriptors"):
        chart.check("structural", "pca")
    monkeypatch.setitem(sys.modules, "pyscf.gto", None)
    with pytest.raises(MissingExtraError, match=r"PySCF.*pip install 'trainspot\[map\]'"):
        chart.check("sorep", "pca")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    with pytest.raises(MissingExtraError, match=r"threadpoolctl, .*pip install 'trainspot\[map\]'"):
        chart.check("sorep", "pca")
    monkeypatch.undo()
    chart.check("sorep", "tsne")
