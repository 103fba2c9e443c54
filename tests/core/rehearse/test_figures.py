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


def test_the_lowest_panels_of_what_was_needed_name_their_axes():
    tracks = [curve(arm, seed) for arm in ("campaign", "paper") for seed in (1, 2)]
    made = Outcome("made-up", 1, "emt", "toy", CostModel(), {"md": 4}, tracks)
    panels = figures.needs(made).axes
    assert len(panels) == 2 * len(made.targets())
    names = [name[0].upper() + name[1:] for name in SPENT.values()]
    assert [axes.get_xlabel() for axes in panels[-2:]] == names
    assert {axes.get_xlabel() for axes in panels[:-2]} == {""}
