"""The frames that a judgement chooses for labelling, and the way each frame was chosen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trainspot.common.seeds import generator
from trainspot.data.dataset import Dataset
from trainspot.judge.decision import FrameDecision, Kind, Method, Objection, Twin, Way
from trainspot.judge.select import Judged, Selection, draw
from trainspot.judge.settings import JudgeSettings, SelectSettings
from trainspot.judge.space import Space
from trainspot.judge.verdict import State
from trainspot.predictions.statistics import Array

_AUDIT_SHARE: Final = 5
_MAX_AUDIT: Final = 25
_LEAST: Final = 10


def limited(settings: SelectSettings, valid: int) -> SelectSettings:
    """The settings with ``max_frames`` limited to a share of the valid frames.

    The limit is at least ``_LEAST``: a share of a small exploration would be too few frames.
    """
    if settings.share == 1.0:
        return settings
    most = max(_LEAST, round(settings.share * valid))
    return settings.model_copy(update={"max_frames": min(settings.max_frames, most)})


def audit_size(settings: SelectSettings, flagged: int) -> int:
    """Number of frames that the audit draws; ``auto``: a fifth of the batch, at most 25.

    The audit is never the whole batch: some of the labels must be for training.
    """
    most = settings.max_frames - 1
    if settings.audit != "auto":
        return min(settings.audit, most)
    batch = min(flagged, settings.max_frames)
    return min(_MAX_AUDIT, most, -(-batch // _AUDIT_SHARE))


def screen_audit(
    decisions: Mapping[str, FrameDecision],
    known: Collection[str],
    number: int,
    rng: np.random.Generator,
) -> dict[str, FrameDecision]:
    """Refused frames that are labelled to see the mistakes of the screen.

    They are drawn uniformly from the refused frames that a reference calculation may label: not
    those with predictions that are not finite, and not those with atoms closer than the floor.

    Args:
        decisions: The decisions about the refused frames, by id.
        known: Ids of frames that have been labelled or have failed; they are not drawn.
        number: Number of frames to draw; fewer if there are fewer.
        rng: Source of the draw.

    Returns:
        The decision about each drawn frame, by id.
    """
    candidates = [i for i, one in decisions.items() if _can_be_labelled(one) and i not in known]
    drawn = draw(candidates, number, rng)
    method = Method(Way.SCREEN_AUDIT, chosen=len(drawn), among=len(candidates))
    return {i: replace(decisions[i], kind=Kind.SCREEN_AUDIT, method=method) for i in drawn}


def _can_be_labelled(decision: FrameDecision) -> bool:
    if decision.cause == Objection.OVERLAP:
        return decision.force is not None
    return decision.cause != Objection.NON_FINITE


@dataclass(frozen=True, eq=False)
class Pool:
    """The valid frames, sorted by id, with the scores of each.

    Attributes:
        frames: The frames, n.
        score: Largest ratio of a value to its threshold, (n,).
        disagrees: Whether a disagreement is beyond its threshold, (n,).
        novel: Whether a frame is novel, (n,).
        repeated: Id of each near-duplicate and the frame that it repeats.
        space: The frames in descriptor space, if descriptors are needed.
    """

    frames: Dataset
    score: Array
    disagrees: NDArray[np.bool_]
    novel: NDArray[np.bool_]
    repeated: dict[str, Twin]
    space: Space | None

    def ids(self, rows: NDArray[np.bool_] | None = None) -> list[str]:
        """The ids of some rows, or of all."""
        ids = self.frames.ids
        return ids if rows is None else [ids[row] for row in np.flatnonzero(rows)]


@dataclass(frozen=True)
class Drawn:
    """The chosen frames.

    Attributes:
        selected: Ids chosen for training.
        audit: Ids drawn for the audit.
        how: For each id, how the frame was chosen or why it was passed over.
    """

    selected: tuple[str, ...]
    audit: tuple[str, ...]
    how: dict[str, Method]

    def kind(self, identity: str) -> Kind:
        """The result of the judgement for a valid frame."""
        if identity in self.audit:
            return Kind.AUDIT
        return Kind.SELECTED if identity in self.selected else Kind.PASSED_OVER


@dataclass(frozen=True, eq=False)
class Draws:
    """The random part of a judgement.

    Attributes:
        pool: The valid frames.
        selection: The strategy.
        settings: Budget and stopping rules.
        iteration: Number of this iteration.
        seed: Seed of the campaign.
        fallback: Whether there was no pair to find thresholds with; the choice is then random.
    """

    pool: Pool
    selection: Selection
    settings: JudgeSettings
    iteration: int
    seed: int
    fallback: bool

    def of(self, state: State) -> Drawn:
        """Selected and audit ids of a state; none when the campaign ends."""
        if state is State.AUDIT:
            agreed = self.pool.ids(~self.pool.disagrees)
            audit = self._draw("final_audit", agreed, self.settings.stop.final_audit)
            return Drawn((), audit, dict.fromkeys(audit, Method(Way.FINAL_AUDIT)))
        if state is not State.CONTINUE:
            flagged = self.pool.ids(self.pool.disagrees | self.pool.novel)
            ends = Method(Way.CAMPAIGN_ENDS, verdict=state)
            return Drawn((), (), dict.fromkeys(flagged, ends))
        return self._batch()

    def _batch(self) -> Drawn:
        """The batch of an iteration that is not the last."""
        pool = self.pool
        everybody = pool.ids()
        select = limited(self.settings.select, len(everybody))
        flagged = pool.ids(pool.disagrees | pool.novel)
        new = set(everybody) - set(pool.repeated)
        wanted = [i for i in (everybody if self.fallback else flagged) if i in new]
        at_random = self.fallback or not wanted
        # Without a flagged frame, and before any confirmation, some frames are still labelled.
        wanted = wanted or [i for i in everybody if i in new] or everybody
        audit = self._draw("audit", everybody, audit_size(select, len(wanted)))
        eligible = set(wanted) - set(audit)
        ids = [identity for identity in everybody if identity in eligible]
        budget = select.max_frames - len(audit)
        if at_random:
            selected = self._draw("select", ids, budget)
            taken = Method(Way.UNFITTED if self.fallback else Way.UNFLAGGED)
        else:
            rng = generator(self.seed, "select", self.iteration)
            judged = self._judged(ids, audit)
            selected = tuple(sorted(self.selection.select(judged, budget, rng)))
            taken = Method(Way.STRATEGY, select.method, len(selected), len(ids))
        passed = Method(Way.OUTNUMBERED, chosen=len(selected), among=len(ids))
        how = dict.fromkeys(ids, passed) | dict.fromkeys(selected, taken)
        for identity, twin in pool.repeated.items():
            if identity not in selected:
                how[identity] = Method(Way.NEAR_DUPLICATE, twin=twin)
        return Drawn(selected, audit, how | dict.fromkeys(audit, Method(Way.AUDIT)))

    def _judged(self, ids: list[str], audit: tuple[str, ...]) -> Judged:
        """The candidates of a strategy; audit frames count as frames of the dataset."""
        chosen, drawn = set(ids), set(audit)
        everybody = self.pool.ids()
        rows = np.array([i in chosen for i in everybody], dtype=np.bool_)
        frames, score, space = self.pool.frames.take(rows), self.pool.score[rows], self.pool.space
        if space is None:
            return Judged(frames, score)
        audited = np.array([i in drawn for i in everybody], dtype=np.bool_)
        known_points = np.concatenate([space.places, space.points[audited]])
        return Judged(frames, score, space.points[rows], known_points)

    def _draw(self, use: str, ids: list[str], number: int) -> tuple[str, ...]:
        return tuple(draw(ids, number, generator(self.seed, use, self.iteration)))
