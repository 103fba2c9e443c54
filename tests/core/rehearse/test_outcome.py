"""Tests of the sentences and tables about the outcome of a rehearsal, with made-up tracks."""

from __future__ import annotations

import dataclasses
import html
import json

import pytest

from trainspot.rehearse import page
from trainspot.rehearse.cost import CostModel
from trainspot.rehearse.outcome import Outcome
from trainspot.rehearse.trial import Point, Track


def curve(arm, seed, *errors, step=10):
    points = [
        Point(20 + step * k, float(20 + step * k), error, error, 0.01, 30, 9, 10)
        for k, error in enumerate(errors)
    ]
    return Track(arm, seed, "exhausted", tuple(points))


def outcome(*tracks):
    return Outcome("made-up", 1, "emt", "toy", CostModel(), {"md": 4}, list(tracks))


def test_twice_as_many_labels_are_a_ratio_of_one_half():
    made = outcome(
        *(curve("campaign", s, 0.4, 0.1, step=10) for s in range(5)),
        *(curve("paper", s, 0.4, 0.1, step=60) for s in range(5)),
    )
    assert made.targets() == pytest.approx([0.2, 0.1])
    assert made.needed("paper", "labels", 0.2) == pytest.approx([50.0] * 5)
    found = made.ratio("campaign", "paper", "labels", 0.1)
    assert found.value == pytest.approx(30 / 80)
    assert "needs fewer labels" in page.headline(made)
    assert "0.375 times" in " ".join(page.sentences(made))
    assert "0.375" in page.text(made)


def test_iterations_without_a_threshold_are_said():
    track = curve("campaign", 1, 0.4, 0.1)
    first = dataclasses.replace(track.points[0], fitted=False)
    unfitted = Track("campaign", 1, "exhausted", (first, track.points[1]))
    said = page.sentences(outcome(unfitted, curve("paper", 1, 0.4, 0.1)))
    assert "In 1 of its 2 iterations no threshold" in said[0]
    assert "no threshold" not in " ".join(
        page.sentences(outcome(track, curve("paper", 1, 0.4, 0.1)))
    )


def test_seeds_that_disagree_are_no_difference():
    errors = [(0.1, 0.2), (0.2, 0.1), (0.12, 0.18), (0.18, 0.12)]
    tracks = [curve("campaign", s, 0.4, a, 0.05) for s, (a, _) in enumerate(errors)]
    tracks += [curve("paper", s, 0.4, b, 0.05) for s, (_, b) in enumerate(errors)]
    assert "No clear difference" in page.headline(outcome(*tracks))


def test_nothing_learned_is_said():
    made = outcome(curve("campaign", 1, 0.1, 0.2), curve("paper", 1, 0.1, 0.3))
    assert not made.learned
    assert "No campaign lowered the error" in page.headline(made)
    text = html.unescape(page.html(made))
    assert "<h1>made-up</h1>" in text
    assert "One error is compared: the worst of the arms' best errors (medians over seeds)." in text


def test_the_compared_errors_are_the_best_ones_not_the_last():
    tracks = [curve("campaign", s, 0.4, 0.1, 0.3) for s in range(2)]
    tracks += [curve("paper", s, 0.4, 0.05, 0.35) for s in range(2)]
    made = outcome(*tracks)
    assert made.targets() == pytest.approx([0.2, 0.1])
    assert (
        "Two errors are compared: the worst of the arms' best errors (medians over seeds), and "
        "the geometric mean of this error and the error at the start."
    ) in html.unescape(page.html(made))


def test_an_arm_that_never_got_there_has_no_ratio():
    made = outcome(*(curve("campaign", s, 0.4, 0.1) for s in range(3)),
                   *(curve("paper", s, 0.4, 0.3) for s in range(2)),
                   curve("paper", 2, 0.4, 0.05))  # fmt: skip
    target = made.to_dict()["targets"][-1]
    assert target["needed"]["paper"]["labels"]["high"] is not None
    assert made.ratio("campaign", "paper", "labels", 0.1).value is None
    json.dumps(made.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("trainer", "said"), [("toy", True), ("mace", False)])
def test_what_a_toy_committee_cannot_tell_is_said_of_toys_only(trainer, said):
    tracks = [curve(arm, 1, 0.4, 0.1) for arm in ("campaign", "paper")]
    made = dataclasses.replace(outcome(*tracks), trainer=trainer)
    for text in (page.html(made), page.text(made), " ".join(made.to_dict()["limits"])):
        assert ("toy committee" in text) == said
        assert "The oracle is not DFT" in text


def test_tracks_survive_being_written():
    track = curve("campaign", 3, 0.4, 0.1)
    assert Track.from_dict(json.loads(json.dumps(track.to_dict()))) == track
