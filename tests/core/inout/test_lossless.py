"""Whatever a dataset holds comes back bit for bit from every format, and through ASE."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainspot import io
from trainspot.common.errors import DataError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels, Origin

FORMATS = ("h5", "extxyz", "db", "aselmdb")
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@pytest.mark.parametrize("suffix", FORMATS)
def test_everything_survives(tmp_path, rich, same, suffix):
    path = tmp_path / f"frames.{suffix}"
    io.write(rich, path)
    same(rich, io.read(path))
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", FORMATS)
def test_real_data_survive_each_format_and_all_in_a_row(tmp_path, excerpt, same, suffix):
    original = io.read(excerpt, theory="pbe")
    assert len(original) == original.is_labelled.sum() == 12
    chain = original
    for step, way in enumerate((suffix, *FORMATS)):
        path = tmp_path / f"{step}.{way}"
        io.write(chain, path)
        chain = io.read(path)
        same(original, chain)


def test_everything_survives_ase(rich, same):
    same(rich, io.from_images([io.to_ase(frame) for frame in rich]))


@pytest.mark.parametrize("suffix", FORMATS)
@given(texts=st.tuples(TEXTS, TEXTS, TEXTS, TEXTS), number=st.floats(-1e6, 1e6))
@settings(max_examples=25)
def test_origins_of_any_text_survive(tmp_path_factory, same, suffix, texts, number):
    strategy, parent, theory, note = texts
    parameters = {"text": note, "number": number, "list": [note, None]}
    frame = Frame.make(
        [14], [[0.1, 0.2, number]], np.eye(3) * 5, True,
        origin=Origin(strategy or "input", parent, parameters),
        labels=Labels(number, theory=theory), info={"note": note, f"k{note}": note},
    )  # fmt: skip
    dataset = Dataset.from_frames([frame, frame])
    path = tmp_path_factory.mktemp("io") / f"frames.{suffix}"
    io.write(dataset, path)
    same(dataset, io.read(path))


@pytest.mark.parametrize("note", ["a split=", 'split="test"', "x trainspot=", "[split=", "'split="])
def test_a_text_that_looks_like_an_entry_is_a_text(tmp_path, silicon, note):
    frame = silicon.with_(info={"note": note, "rest": "is here"}, split="train")
    io.write(Dataset.from_frames([frame]), tmp_path / "a.extxyz")
    back = io.read(tmp_path / "a.extxyz")[0]
    assert (dict(back.info), back.split) == (dict(frame.info), "train")


@pytest.mark.parametrize("suffix", ["extxyz", "db", "aselmdb"])
def test_what_a_format_cannot_keep_leaves_the_old_file_alone(tmp_path, silicon, suffix):
    path = tmp_path / f"a.{suffix}"
    io.write(Dataset.from_frames([silicon]), path)
    before = path.read_bytes()
    long = silicon.with_(arrays={"q": np.zeros(8, np.longdouble)})
    with pytest.raises(DataError, match="cannot be kept losslessly"):
        io.write(Dataset.from_frames([silicon, long]), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    io.write(Dataset.from_frames([long]), tmp_path / "a.h5")
    assert io.read(tmp_path / "a.h5")[0].arrays["q"].dtype == np.longdouble
