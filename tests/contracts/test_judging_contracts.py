"""Every registered calibration method and selection strategy keeps its contract."""

from __future__ import annotations

import numpy as np
import pytest

from trainspot.common import plugins
from trainspot.data.dataset import Dataset
from trainspot.judge import calibrate, select
from trainspot.testing.calibration import check_calibration
from trainspot.testing.selection import check_selection


@pytest.mark.parametrize("name", plugins.names(calibrate.GROUP))
def test_calibration(name):
    check_calibration(name)


@pytest.mark.parametrize("name", plugins.names(select.GROUP))
def test_selection(name, labelled_frames):
    frames = Dataset.from_frames(sorted(labelled_frames, key=lambda frame: frame.id))
    score = np.linspace(2.0, 1.0, len(frames))
    points = np.random.default_rng(0).normal(size=(len(frames) + 5, 3))
    check_selection(name, select.Judged(frames, score, points[5:], points[:5]))
    if not select.needs_descriptors(select.strategy(name)):
        check_selection(name, select.Judged(frames, score))


def test_a_broken_method_is_caught(monkeypatch):
    class Constant(calibrate.Method):
        """Learns nothing from the pairs."""

        def __init__(self, settings):
            pass

        def threshold(self, delta, error, tolerance):
            return np.full(delta.shape[:-1], tolerance)

    monkeypatch.setattr(plugins, "load", lambda *_: Constant)
    with pytest.raises(AssertionError):
        check_calibration("constant")


def test_a_broken_strategy_is_caught(monkeypatch, labelled_frames):
    class Greedy(select.Selection):
        def select(self, judged, budget, rng):
            return judged.frames.ids

    monkeypatch.setattr(plugins, "load", lambda *_: Greedy)
    judged = select.Judged(Dataset.from_frames(labelled_frames), np.ones(12))
    with pytest.raises(AssertionError, match="budget"):
        check_selection("greedy", judged)
