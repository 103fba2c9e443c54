"""Figures of a rehearsal say what their axes are."""

from __future__ import annotations

from trainspot.rehearse import figures
from trainspot.rehearse.cost import CostModel
from trainspot.rehearse.outcome import SPENT, Outcome
from trainspot.rehearse.trial import Point, Track


def curve(arm: str, seed: int) -> Track:
    points = [
        Point(20 + 10 * k, 20.0 + 10 * k, error, error, 0.01, 30, 9, 10)
        for k, error in enumerate((0.4, 0.2, 0.1))
    ]
    return Track(arm, seed, "exhausted", tuple(points))


def test_an_error_that_rises_at_the_end_was_reached_all_the_same():
    """Else all arms are compared where they hardly differ, and nothing is told apart."""
    tracks = []
    for arm, errors in (("campaign", (0.4, 0.1, 0.2)), ("paper", (0.4, 0.3, 0.1, 0.3))):
        for seed in (1, 2):
            points = [
                Point(20 + 10 * k, 20.0 + 10 * k, error, error, 0.01, 30, 9, 10)
                for k, error in enumerate(errors)
            ]
            tracks.append(Track(arm, seed, "exhausted", tuple(points)))
    made = Outcome("made-up", 1, "emt", "toy", CostModel(), {"md": 4}, tracks)
    assert made.learned
    assert made.targets()[-1] == 0.1
    assert made.needed("campaign", "labels", 0.1) == [30.0, 30.0]
    assert made.needed("paper", "labels", 0.1) == [40.0, 40.0]


def test_the_lowest_panels_of_what_was_needed_name_their_axes():
    tracks = [curve(arm, seed) for arm in ("campaign", "paper") for seed in (1, 2)]
    made = Outcome("made-up", 1, "emt", "toy", CostModel(), {"md": 4}, tracks)
    panels = figures.needs(made).axes
    assert len(panels) == 2 * len(made.targets())
    names = [name[0].upper() + name[1:] for name in SPENT.values()]
    assert [axes.get_xlabel() for axes in panels[-2:]] == names
    assert {axes.get_xlabel() for axes in panels[:-2]} == {""}
