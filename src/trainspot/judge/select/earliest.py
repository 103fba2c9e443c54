"""Earliest selection: where each trajectory first leaves what is known."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from trainspot.judge.select import Judged, strategy


class EarliestSelection:
    """The first candidate of every trajectory, then the second, and so on.

    What comes after the first frame that a committee does not know was driven by a model that was
    already wrong: a better one would not have gone there. Where a turn does not fit into the
    budget, farthest-point sampling decides among it.
    """

    needs_descriptors = True

    def select(self, judged: Judged, budget: int, rng: np.random.Generator) -> list[str]:
        """See ``Selection.select``; nothing is drawn at random."""
        ids = judged.frames.ids
        turns = defaultdict(list)
        for row, turn in enumerate(_turns(judged)):
            turns[turn].append(row)
        chosen: list[int] = []
        for turn in sorted(turns):
            left = budget - len(chosen)
            rows = turns[turn]
            if len(rows) > left:
                rows = _far(judged, rows, chosen, left, rng)
            chosen += rows
        return [ids[row] for row in chosen]


def _turns(judged: Judged) -> list[int]:
    """For each candidate how many of its trajectory come before it; 0 without a trajectory."""
    runs = defaultdict(list)
    for row, frame in enumerate(judged.frames):
        if frame.origin.trajectory:
            step = int(frame.origin.parameters.get("step", 0))
            runs[frame.origin.trajectory].append((step, frame.id, row))
    found = [0] * len(judged.frames)
    for frames in runs.values():
        for turn, (_, _, row) in enumerate(sorted(frames)):
            found[row] = turn
    return found


def _far(
    judged: Judged, rows: list[int], chosen: list[int], number: int, rng: np.random.Generator
) -> list[int]:
    """Rows of the farthest from all that is known or chosen."""
    points, known = judged.descriptors, judged.known
    if points is not None and known is not None:
        known = np.concatenate([known, points[chosen]])
    part = Judged(
        judged.frames.take(rows),
        judged.score[rows],
        None if points is None else points[rows],
        known,
    )
    taken = set(strategy("diverse").select(part, number, rng))
    return [row for row in rows if judged.frames.ids[row] in taken]
