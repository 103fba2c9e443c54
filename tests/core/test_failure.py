"""The failure of a frame: one record, whose JSON in files and nodes stays as it was."""

from __future__ import annotations

import numpy as np
import pytest

from trainspot import io
from trainspot.campaign.ending import causes
from trainspot.data.dataset import Dataset
from trainspot.data.failure import Failure, failure_of, reason_of, with_failure, without_failure
from trainspot.data.frames import Frame
from trainspot.explore import frames as exploring
from trainspot.explore.schedule import Run
from trainspot.label import base


@pytest.fixture
def frame():
    return Frame.make([29], np.zeros((1, 3)), np.eye(3) * 3.6, [True] * 3, info={"note": "kept"})


@pytest.fixture
def exploded(frame):
    run = Run(start=frame.id, temperature=300.0, pressure=0.0, ensemble="nvt", timestep=1.0,
              barostat=(False,) * 3, steps=10, every=5, seed=1, trajectory="it1_run0")  # fmt: skip
    return exploring.failed(frame, run, "exploded", 3)


def test_the_json_of_a_failed_labelling_is_unchanged(frame):
    failed = base.failed(frame, "not\nconverged", 410)
    record = {"reason": "not converged", "exit_status": 410}
    assert failed.info == {"note": "kept", "failure": record}
    assert failure_of(failed) == Failure("not converged", 410)
    assert reason_of(failed) == "not converged"
    assert without_failure(failed).info == frame.info


def test_the_json_of_a_failed_run_is_unchanged(exploded):
    record = {"reason": "exploded", "exit_status": 3, "trajectory": "it1_run0"}
    assert exploded.info["failure"] == record
    assert failure_of(exploded) == Failure("exploded", 3, "it1_run0")


def test_a_frame_that_did_not_fail_has_no_failure(frame):
    assert failure_of(frame) is None
    assert reason_of(frame) == ""


@pytest.mark.parametrize("suffix", ["h5", "extxyz"])
def test_a_failure_comes_back_from_a_file(frame, exploded, tmp_path, suffix):
    path = tmp_path / f"failures.{suffix}"
    for written in (base.failed(frame, "too hot"), exploded):
        io.write(Dataset.from_frames([written]), path)
        assert failure_of(io.read(path)[0]) == failure_of(written)


@pytest.mark.parametrize(
    ("content", "failure"),
    [
        ({"reason": "died", "exit_status": None}, Failure("died")),
        ({"reason": "died", "exit_status": 410, "new": 1}, Failure("died", 410)),
        ({"reason": "died"}, Failure("died")),
        ({"reason": 5, "exit_status": "x", "trajectory": 1}, Failure("")),
        ("text of another program", Failure("")),
        (None, Failure("")),
    ],
)
def test_any_content_is_read(frame, content, failure):
    stored = frame.with_(info={"failure": content})
    assert failure_of(stored) == failure
    counts = causes(Dataset.from_frames([stored]))
    assert [(cause.reason, cause.exit_status) for cause in counts] == [
        (failure.reason, failure.exit_status)
    ]
    assert exploring.broken_off(Dataset.from_frames([stored])) == {failure.reason: 1}


def test_a_new_failure_replaces_the_earlier_one(frame):
    again = with_failure(with_failure(frame, Failure("a", 1, "run")), Failure("b"))
    assert again.info["failure"] == {"reason": "b", "exit_status": None}
