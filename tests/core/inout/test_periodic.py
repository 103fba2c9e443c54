"""The periodicity of structures whose format cannot say it."""

from __future__ import annotations

import numpy as np
import pytest

from trainspot import io
from trainspot.common.errors import InputError
from trainspot.data.dataset import Dataset
from trainspot.data.frames import Frame, Labels


def test_a_sheet_across_the_boundary_stays_one():
    labels_ = Labels(-1.0, np.zeros((2, 3)), theory="pbe")
    frame = Frame.make(
        [6, 6], [[0, 0, 19.5], [1.2, 0.7, 0.5]], np.diag([2.5, 2.5, 20.0]), True,
        labels=labels_, split="test", info={"a": 1}, arrays={"q": np.ones(2)},
    )  # fmt: skip
    [made] = io.with_periodicity(Dataset.from_frames([frame]), (True, True, False))
    assert made.pbc.tolist() == [True, True, False]
    assert abs(made.positions[0, 2] - made.positions[1, 2]) == pytest.approx(1.0)
    np.testing.assert_array_equal(made.cell, frame.cell)
    assert (made.split, dict(made.info), made.labels.energy) == ("test", {"a": 1}, -1.0)
    assert io.with_periodicity(Dataset.from_frames([frame]), None)[0].id == frame.id


def test_a_direction_without_a_vector_cannot_be_periodic():
    dataset = Dataset.from_frames([Frame.make([6], [[0, 0, 0]])])
    with pytest.raises(InputError, match="a periodic direction needs a cell vector"):
        io.with_periodicity(dataset, (True, False, False), "a.xyz")


@pytest.mark.parametrize("text", ["TTF", "ttf", "T T F", "true,true,false", "1 1 0"])
def test_periodicity_is_written_in_some_ways(text):
    assert io.parse_periodic(text) == (True, True, False)


@pytest.mark.parametrize("text", ["TT", "TTX", "", "T T F F"])
def test_what_is_no_periodicity_is_refused(text):
    with pytest.raises(InputError, match="TTF for a sheet"):
        io.parse_periodic(text)
