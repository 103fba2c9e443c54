"""Columns of a dataset: what they tell, what may replace them, and what they cannot keep."""

from __future__ import annotations

import numpy as np
import pytest

from trainspot.common.errors import DataError
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin


def test_columns_cannot_be_changed_through_a_dataset(labelled_frames):
    dataset = Dataset.from_frames(labelled_frames)
    frame = dataset[0]
    for array in (
        *(dataset.column("energy"), dataset.column("positions"), dataset[1:3].column("id")),
        *(frame.numbers, frame.positions, frame.cell, frame.labels.forces, frame.labels.stress),
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_summaries(silicon):
    atom = Frame.make([32], [[0, 0, 0]], labels=Labels(-3.5, np.zeros((1, 3)), theory="pbe"))
    energy_only = silicon.with_(labels=Labels(energy=1.0, theory="other"))
    periodic_atom = Frame.make(
        [6], [[0, 0, 0]], np.eye(3) * 9, True, labels=Labels(-1.0, np.zeros((1, 3)), theory="pbe")
    )
    dataset = Dataset.from_frames([atom, energy_only, periodic_atom])
    assert dataset.n_atoms.tolist() == [1, 8, 1]
    assert dataset.is_labelled.tolist() == [True, False, True]
    assert dataset.labelled().ids == [atom.id, periodic_atom.id]
    assert dataset.unlabelled().ids == [silicon.id]
    assert dataset.species == ["C", "Si", "Ge"]
    assert dataset.theories == ["pbe"]
    assert dataset.counts("strategy") == {"input": 3}
    assert dataset.e0s() == {32: -3.5}
    other = Frame.make([32], [[1, 0, 0]], labels=Labels(-4.5, np.zeros((1, 3)), theory="pbe"))
    hydrogen = Frame.make([1], [[0, 0, 0]], labels=Labels(-0.5, np.zeros((1, 3)), theory="pbe"))
    for spins in ([atom, other], [other, atom]):  # of two spin states the lower is the reference
        assert list(Dataset.from_frames([*spins, hydrogen]).e0s().items()) == [
            (1, -0.5),
            (32, -4.5),
        ]


def test_an_empty_dataset_answers_everything():
    empty = Dataset.from_frames([])
    assert len(empty) == 0
    assert list(empty) == empty.ids == empty.species == empty.theories == empty.extras == []
    assert empty.e0s() == {}
    assert len(empty.merge(empty)) == len(Dataset.concatenate([])) == len(empty[[]]) == 0


def test_reference_energies_belong_to_one_level_of_theory():
    def atom(energy, theory, shift):
        labels = Labels(energy, np.zeros((1, 3)), theory=theory)
        return Frame.make([14], [[shift, 0.0, 0.0]], labels=labels)

    mixed = Dataset.from_frames([atom(-2.5, "pbe", 0.0), atom(-100.0, "lda", 1.0)])
    assert (mixed.e0s("pbe"), mixed.e0s("lda"), mixed.e0s("scan")) == ({14: -2.5}, {14: -100.0}, {})
    with pytest.raises(DataError, match="several levels of theory: 'lda', 'pbe'"):
        mixed.e0s()


def test_replacing_columns(labelled_frames):
    dataset = Dataset.from_frames(labelled_frames)
    changed = dataset.with_columns(iteration=np.full(12, 3), theory=["pbe"] * 12)
    assert {f.origin.iteration for f in changed} == {3}
    assert changed.theories == ["pbe"]
    assert changed.ids == dataset.ids
    assert {f.origin.iteration for f in dataset} == {0}
    for name in ("id", "cell", "positions", "nonsense"):
        with pytest.raises(ValueError, match="cannot be replaced"):
            dataset.with_columns(**{name: np.zeros(12)})
    with pytest.raises(ValueError, match="has shape"):
        dataset.with_columns(iteration=[1, 2])
    with pytest.raises(DataError, match="does not fit"):
        dataset.with_columns(strategy=["x" * 33] * 12)


@pytest.mark.parametrize("kind", [list, tuple, np.array])
def test_a_new_text_may_have_any_letters(labelled_frames, kind):
    """UTF-8, as in the file, for lists and for arrays of numpy."""
    changed = Dataset.from_frames(labelled_frames).with_columns(theory=kind(["PBE, 60 Ry, é"] * 12))
    assert changed.theories == ["PBE, 60 Ry, é"]
    old = changed.column("theory").copy()
    assert changed.with_columns(theory=old).theories == changed.theories


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"info": {"a": object()}}, "metadata of type object"),
        ({"origin": Origin(parameters={"a": {1}})}, "metadata of type set"),
        ({"origin": Origin(strategy="s" * 33)}, "does not fit in column 'strategy'"),
        ({"origin": Origin(parent="p" * 65)}, "does not fit in column 'parent'"),
        ({"origin": Origin(trajectory="t\0")}, "does not fit in column 'trajectory'"),
        ({"origin": Origin(seed=-1)}, "must not be negative"),
        ({"labels": Labels(energy=1.0, theory="é" * 33)}, "does not fit in column 'theory'"),
        ({"arrays": {"q": ["text"] * 8}}, "array 'q' cannot be kept"),
        ({"arrays": {"a/b": [1.0] * 8}}, "array 'a/b' has a name"),
    ],
)
def test_what_would_be_lost_is_refused(silicon, change, message):
    with pytest.raises(DataError, match=message):
        Dataset.from_frames([silicon.with_(**change)])


def test_extras_must_agree_between_frames(silicon, labelled_frames):
    one = silicon.with_(arrays={"q": np.zeros(8)})
    other = labelled_frames[0].with_(arrays={"q": np.zeros((8, 3))})
    with pytest.raises(DataError, match="'q' cannot be kept"):
        Dataset.from_frames([one, other])
    with pytest.raises(DataError, match="'q' has different types or shapes"):
        Dataset.concatenate([Dataset.from_frames([one]), Dataset.from_frames([other])])


def test_frames_without_their_labels_are_those_made_without(labelled_frames, tmp_path):
    dataset = Dataset.from_frames([f.with_(split="test", info={"a": 1}) for f in labelled_frames])
    wanted = Dataset.from_frames(frame.with_(labels=Labels()) for frame in dataset)
    hdf5.write(dataset, tmp_path / "frames.h5")
    with hdf5.opened(tmp_path / "frames.h5") as on_disk:
        for found in (dataset.without_labels(), on_disk.without_labels()):
            for name, column in wanted.columns.items():
                np.testing.assert_array_equal(found.column(name), column)
    assert dataset.is_labelled.all()
