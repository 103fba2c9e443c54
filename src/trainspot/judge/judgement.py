"""Judgement of an exploration in one pure function: screen, flags, audit, selection, verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from trainspot.common.errors import DataError
from trainspot.common.seeds import generator
from trainspot.data.dataset import Dataset
from trainspot.data.refused import marked
from trainspot.descriptors import require
from trainspot.judge import earlier
from trainspot.judge.decision import NOVELTY, Beyond, FrameDecision, Kind, Method, Way
from trainspot.judge.draws import Draws, Pool, screen_audit
from trainspot.judge.novelty import Novelty
from trainspot.judge.screen import screen
from trainspot.judge.select import Selection, needs_descriptors, strategy
from trainspot.judge.settings import JudgeSettings, SelectSettings
from trainspot.judge.space import Space
from trainspot.judge.verdict import State, verdict
from trainspot.predictions.calibration import Calibration
from trainspot.predictions.predictions import Predictions
from trainspot.predictions.statistics import Array


@dataclass(frozen=True)
class Judgement:
    """The frames to label next, with a decision about every explored frame.

    Attributes:
        verdict: The next step, see ``State``.
        selected: Ids chosen among the flagged frames (or at random, see ``fallback``).
        audit: Ids drawn uniformly from the valid frames, or, for the final audit, from the frames
            on which the committee agrees; disjoint from ``selected``.
        flagged: Ids of valid frames beyond a threshold, of disagreement or of novelty.
        refused: Frames that the screen refused, by reason.
        duplicates: Explored frames that occur twice or were in the dataset before.
        explored: Frames explored, duplicates included.
        valid: Frames that passed the screen and are new.
        fallback: Whether there was no pair to find thresholds with; the choice was then random.
        decisions: The decision about each explored id.
        flagged_by: Number of frames that each property and ``novelty`` flags; a frame can count
            several times. If novelty compares frames and atoms, ``novelty_frames`` and
            ``novelty_atoms`` count the frames that each of them flags.
        near_duplicates: Valid frames that nearly equal a frame of the dataset or an explored one.
        novelty: The thresholds of novelty and their data.
        budget_spent: Whether the label budget is too small for the verdict; no frame is then
            chosen.
        screen_audit: Ids of refused frames that are labelled to see the mistakes of the screen.
    """

    verdict: State
    selected: tuple[str, ...]
    audit: tuple[str, ...]
    flagged: tuple[str, ...]
    refused: Mapping[str, int]
    duplicates: int
    explored: int
    valid: int
    fallback: bool
    decisions: Mapping[str, FrameDecision]
    flagged_by: Mapping[str, int] = field(default_factory=dict)
    near_duplicates: int = 0
    novelty: Novelty = field(default_factory=Novelty)
    budget_spent: bool = False
    screen_audit: tuple[str, ...] = ()

    @property
    def chosen(self) -> list[str]:
        """All ids to label next."""
        return [*self.selected, *self.audit, *self.screen_audit]

    @property
    def state(self) -> str:
        """State of the campaign: the verdict, or ``budget`` if the label budget is spent."""
        return "budget" if self.budget_spent else self.verdict.value

    def without_budget(self) -> Judgement:
        """The judgement when the label budget is spent: no frame is chosen.

        The budget is then the reason for frames that other frames outnumbered, too.
        """
        if self.screen_audit:
            return self.with_labels(0).without_budget()
        unpaid = Method(Way.BUDGET_SPENT)
        decisions = {
            identity: replace(decision, kind=Kind.PASSED_OVER, method=unpaid)
            if decision.kind in (Kind.SELECTED, Kind.AUDIT) or _outnumbered(decision)
            else decision
            for identity, decision in self.decisions.items()
        }
        return replace(self, selected=(), audit=(), decisions=decisions, budget_spent=True)

    def chosen_of(self, explored: Dataset, max_force: float) -> Dataset:
        """The frames to label next, those of the screen audit with their mark (``data.refused``).

        Args:
            explored: Frames of the exploration.
            max_force: Largest force of a physical frame, eV/Å.
        """
        unique = explored.select(dict.fromkeys(explored.ids))
        causes = {identity: self.decisions[identity].cause for identity in self.screen_audit}
        return marked(unique.select(self.chosen), causes, max_force)

    def with_labels(self, number: int) -> Judgement:
        """The judgement with at most so many chosen frames: the screen audit gets what is left."""
        left = max(0, number - len(self.selected) - len(self.audit))
        kept, dropped = self.screen_audit[:left], self.screen_audit[left:]
        refused = {
            identity: replace(self.decisions[identity], kind=Kind.REFUSED, method=None)
            for identity in dropped
        }
        return replace(self, screen_audit=kept, decisions={**self.decisions, **refused})

    def to_dict(self) -> dict[str, Any]:
        """JSON values only, with the version of the form."""
        shallow = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        content = {k: list(v) if isinstance(v, tuple) else v for k, v in shallow.items()}
        return content | {
            "version": earlier.VERSION,
            "verdict": self.verdict.value,
            "refused": dict(self.refused),
            "flagged_by": dict(self.flagged_by),
            "novelty": self.novelty.to_dict(),
            "decisions": {i: decision.to_dict() for i, decision in self.decisions.items()},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Judgement:
        """The inverse of ``to_dict``; judgements of earlier versions are read as well.

        Raises:
            DataError: Something is missing, or a newer version wrote it.
        """
        try:
            return _adapter().validate_python(earlier.judgement(content))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError("this is not a judgement") from error


def judge(
    explored: Dataset,
    predictions: Predictions,
    calibrations: Mapping[str, Calibration],
    known: Dataset,
    settings: JudgeSettings,
    *,
    iteration: int,
    seed: int,
    starts: Dataset,
    is_rest: bool = False,
) -> Judgement:
    """Screen, flag, draw the audit, select and give the verdict.

    Args:
        explored: Frames of the exploration.
        predictions: Predictions of the committee for all these frames.
        calibrations: The threshold of each judged property.
        known: Frames that are labelled, wait for labels, or failed; they are not selected again.
            Novelty is the distance to the labelled training frames among these frames.
        settings: Limits, budget and stopping rules.
        iteration: Number of this iteration; the first is 1.
        seed: Seed of the campaign; the draws of different iterations are independent.
        starts: Start frames of the trajectories, for the screen.
        is_rest: Whether the explorer has no other frame.

    Raises:
        InputError: A frame that the predictions lack, or an unknown selection method.
        MissingExtraError: Descriptors are needed and their library is not installed.
    """
    by = settings.select
    selection = strategy(by.method)  # an unknown method is an error even if no frame is selected
    unique = list(dict.fromkeys(explored.ids))
    screened = screen(explored, starts, predictions, settings.screen)
    met = set(known.ids)
    valid = sorted(identity for identity in screened.kept if identity not in met)
    frames = explored.select(valid)
    space = Space.of(frames, known, by.descriptor) if _needs_space(by, selection) else None
    novelty = Novelty()
    if space:
        novelty = space.novelty(by.novelty, by.near_duplicate, by.novelty_of)
    remote = space.remote(novelty) if space and novelty.is_fitted else None
    ratios = threshold_ratios(predictions.select(valid), calibrations)
    disagrees = _any_beyond(ratios, len(valid))
    novel = np.zeros(len(valid), dtype=np.bool_)
    if remote:
        ratios[NOVELTY] = remote.ratio
        novel = ratios[NOVELTY] > 1.0
    fallback = all(calibration.is_blind() for calibration in calibrations.values())
    state = verdict(
        explored=len(unique),
        valid=len(valid),
        flagged=int(disagrees.sum()),
        fitted=any(calibration.fitted for calibration in calibrations.values()),
        iteration=iteration,
        settings=settings.stop,
        novel=int(novel.sum()),
        expected=1.0 - novelty.share if novelty.share else 0.0,
        is_rest=is_rest,
    )
    score = np.max(np.stack([*ratios.values(), np.zeros(len(valid))]), axis=0)
    repeated = space.repeated(by.near_duplicate, score) if space else {}
    pool = Pool(frames, score, disagrees, novel, repeated, space)
    drawn = Draws(pool, selection, settings, iteration, seed, fallback=fallback).of(state)
    audited = {}
    if state in (State.CONTINUE, State.AUDIT):
        rng = generator(seed, "screen_audit", iteration)
        audited = screen_audit(screened.decisions, met, settings.screen.audit, rng)
    decisions = screened.decisions | audited
    decisions |= dict.fromkeys(met & set(screened.kept), FrameDecision(Kind.KNOWN))
    for row, identity in enumerate(valid):
        stands_out = {name: float(ratio[row]) for name, ratio in ratios.items()}
        kind, method = drawn.kind(identity), drawn.how.get(identity)
        beyond = remote.beyond(row) if remote else None
        decisions[identity] = _decided(kind, method, stands_out, calibrations, beyond)
    return Judgement(
        verdict=state,
        selected=drawn.selected,
        audit=drawn.audit,
        flagged=tuple(np.array(valid, dtype=object)[disagrees | novel].tolist()),
        refused=screened.refused,
        duplicates=len(explored) - len(unique) + len(met & set(screened.kept)),
        explored=len(explored),
        valid=len(valid),
        fallback=fallback,
        decisions=dict(sorted(decisions.items())),
        flagged_by={name: int(np.sum(ratio > 1.0)) for name, ratio in ratios.items()}
        | (remote.flagged_by() if remote else {}),
        near_duplicates=len(repeated),
        novelty=novelty,
        screen_audit=tuple(audited),
    )


def threshold_ratios(
    predictions: Predictions, calibrations: Mapping[str, Calibration]
) -> dict[str, Array]:
    """Δ/τ of each property and frame, (N,); a ratio above 1 flags the frame."""
    delta = predictions.disagreement()
    return {name: delta[name] / calibration.threshold for name, calibration in calibrations.items()}


def check_installed(settings: SelectSettings) -> None:
    """Refuse a selection whose library is missing before the campaign starts.

    Raises:
        MissingExtraError: The library is missing; the message has the pip command.
        UnknownNameError: No such selection method.
    """
    if _needs_space(settings, strategy(settings.method)):
        require()


def _needs_space(settings: SelectSettings, selection: Selection) -> bool:
    """Whether the judgement needs descriptors; that of the paper does not."""
    wanted = settings.novelty is not None or settings.near_duplicate > 0.0
    return wanted or needs_descriptors(selection)


def _outnumbered(decision: FrameDecision) -> bool:
    return decision.method is not None and decision.method.way is Way.OUTNUMBERED


def _any_beyond(ratios: Mapping[str, Array], n: int) -> NDArray[np.bool_]:
    beyond = [ratio > 1.0 for ratio in ratios.values()]
    return np.asarray(np.any([*beyond, np.zeros(n, dtype=np.bool_)], axis=0))


def _decided(
    kind: Kind,
    method: Method | None,
    ratios: dict[str, float],
    calibrations: Mapping[str, Calibration],
    novelty: Beyond | None,
) -> FrameDecision:
    """The decision with the property of the largest ratio, and the distance of a novel frame."""
    ratios.pop(NOVELTY, None)
    name = max(ratios, key=lambda key: ratios[key])
    threshold = calibrations[name].threshold
    return FrameDecision(kind, name, ratios[name] * threshold, threshold, method, novelty)


@cache
def _adapter() -> TypeAdapter[Judgement]:
    return TypeAdapter(Judgement)
