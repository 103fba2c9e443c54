"""Judging an exploration: screen, flag, audit draw, selection and verdict in one pure function."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

import numpy as np

from trainspot.dataset import Dataset
from trainspot.errors import DataError
from trainspot.evaluate.predictions import Predictions
from trainspot.evaluate.statistics import Array
from trainspot.judge.calibrate import Calibration
from trainspot.judge.screen import screen
from trainspot.judge.select import Judged, Selection, draw, strategy
from trainspot.judge.settings import UNITS, JudgeSettings, SelectSettings
from trainspot.judge.verdict import State, verdict
from trainspot.seeds import generator

_AUDIT_SHARE: Final = 5
_MAX_AUDIT: Final = 25


@dataclass(frozen=True)
class Judgement:
    """What is labelled next, and why; every frame explored has a reason.

    Attributes:
        verdict: What happens next, see ``State``.
        selected: Ids chosen among the flagged (or at random, see ``fallback``).
        audit: Ids drawn uniformly from the valid frames, or the final audit of unflagged ones;
            disjoint from ``selected``.
        flagged: Ids of valid frames beyond a threshold.
        refused: Frames that the screen refused, by reason.
        duplicates: Explored frames that were met before, or were known already.
        explored: Frames explored, duplicates included.
        valid: Frames that passed the screen and are new.
        fallback: Whether no threshold was fitted, so that the choice was random.
        reasons: For each explored id, in words, what was decided and why.
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
    reasons: Mapping[str, str]

    @property
    def chosen(self) -> list[str]:
        """All ids to be labelled next."""
        return [*self.selected, *self.audit]

    def summary(self) -> str:
        """The counts in one line."""
        refused = ", ".join(f"{n} {reason}" for reason, n in self.refused.items()) or "none"
        return (
            f"{self.explored} frames, refused: {refused}; {len(self.flagged)} flagged, "
            f"{len(self.selected)} selected, {len(self.audit)} for the audit"
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        content = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return content | {"verdict": self.verdict.value}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Judgement:
        """The inverse of ``to_dict``.

        Raises:
            DataError: Something is missing.
        """
        try:
            values: dict[str, Any] = {field.name: content[field.name] for field in fields(cls)}
            values["verdict"] = State(values["verdict"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("this is not a judgement") from error
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**values)


def judge(
    explored: Dataset,
    predictions: Predictions,
    calibrations: Mapping[str, Calibration],
    known_ids: Collection[str],
    settings: JudgeSettings,
    *,
    iteration: int,
    seed: int,
    starts: Dataset,
) -> Judgement:
    """Screen, flag, draw the audit, select and give the verdict.

    Args:
        explored: Frames of the exploration.
        predictions: The committee's, for all of them.
        calibrations: The threshold of each judged property.
        known_ids: Ids that are labelled, wait for labels, or failed: never selected again.
        settings: Limits, budget and stopping rules.
        iteration: Number of this iteration; the first is 1.
        seed: The campaign's; the draws of different iterations are independent.
        starts: Frames the trajectories started from, for the screen.

    Raises:
        InputError: A frame that the predictions lack, or an unknown selection method.
    """
    selection = strategy(settings.select.method)  # refused now if unknown, drawn on or not
    unique = list(dict.fromkeys(explored.ids))
    screened = screen(explored, starts, predictions, settings.screen)
    known = set(known_ids)
    valid = sorted(identity for identity in screened.kept if identity not in known)
    fallback = not any(calibration.fitted for calibration in calibrations.values())
    ratios = excess(predictions.select(valid), calibrations)
    score = np.max(np.stack([*ratios.values(), np.zeros(len(valid))]), axis=0)
    flagged = tuple(np.array(valid, dtype=object)[score > 1.0].tolist())
    state = verdict(
        explored=len(unique),
        valid=len(valid),
        flagged=len(flagged),
        fitted=not fallback,
        iteration=iteration,
        settings=settings.stop,
    )
    draws = _Draws(explored, valid, score, flagged, fallback, selection, settings, iteration, seed)
    selected, audit = draws.of(state)
    reasons = {identity: f"refused: {why}" for identity, why in screened.reasons.items()}
    reasons |= dict.fromkeys(known & set(screened.kept), "known already")
    chosen = dict.fromkeys(audit, "audit") | dict.fromkeys(selected, "selected")
    for row, identity in enumerate(valid):
        why = _why({name: ratio[row] for name, ratio in ratios.items()}, calibrations)
        reasons[identity] = f"{chosen.get(identity, 'not selected')}: {why}"
    return Judgement(
        verdict=state,
        selected=selected,
        audit=audit,
        flagged=flagged,
        refused=screened.refused,
        duplicates=len(explored) - len(unique) + len(known & set(screened.kept)),
        explored=len(explored),
        valid=len(valid),
        fallback=fallback,
        reasons=dict(sorted(reasons.items())),
    )


def excess(predictions: Predictions, calibrations: Mapping[str, Calibration]) -> dict[str, Array]:
    """Δ/τ of each property and frame, (N,); beyond 1 a frame is flagged."""
    delta = predictions.disagreement()
    return {name: delta[name] / found.threshold for name, found in calibrations.items()}


def audit_size(settings: SelectSettings, flagged: int) -> int:
    """How many frames the audit draws; ``auto``: a fifth of the batch, at most 25, rounded up."""
    if settings.audit != "auto":
        return min(settings.audit, settings.max_frames)
    batch = min(flagged, settings.max_frames)
    return min(_MAX_AUDIT, -(-batch // _AUDIT_SHARE))


@dataclass(frozen=True, eq=False)
class _Draws:
    """The random part of a judgement."""

    explored: Dataset
    valid: list[str]
    score: Array
    flagged: tuple[str, ...]
    fallback: bool
    selection: Selection
    settings: JudgeSettings
    iteration: int
    seed: int

    def of(self, state: State) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Selected and audit ids of a state: none once the campaign ends."""
        if state is State.AUDIT:
            flagged = set(self.flagged)
            unflagged = [i for i in self.valid if i not in flagged]
            return (), self._draw("final_audit", unflagged, self.settings.stop.final_audit)
        if state is not State.CONTINUE:
            return (), ()
        select = self.settings.select
        pool = self.valid if self.fallback else list(self.flagged)
        # A quiet but unconfirmed exploration still has to teach the committee something.
        pool = pool or self.valid
        audit = self._draw("audit", self.valid, audit_size(select, len(pool)))
        eligible = set(pool) - set(audit)
        rows = np.array([i in eligible for i in self.valid], dtype=np.bool_)
        ids = [identity for identity, row in zip(self.valid, rows, strict=True) if row]
        budget = select.max_frames - len(audit)
        if self.fallback or not self.flagged:
            return self._draw("select", ids, budget), audit
        judged = Judged(self.explored.select(ids), self.score[rows])
        rng = generator(self.seed, "select", self.iteration)
        return tuple(sorted(self.selection.select(judged, budget, rng))), audit

    def _draw(self, use: str, ids: list[str], number: int) -> tuple[str, ...]:
        return tuple(draw(ids, number, generator(self.seed, use, self.iteration)))


def _why(ratios: Mapping[str, float], calibrations: Mapping[str, Calibration]) -> str:
    """The property that stands out most, in words."""
    name = max(ratios, key=lambda key: ratios[key])
    threshold = calibrations[name].threshold
    word = "exceeds" if ratios[name] > 1.0 else "is within"
    return (
        f"disagreement on {name} of {ratios[name] * threshold:.3g} {word} the threshold of "
        f"{threshold:.3g} {UNITS[name]}"
    )
