"""Judging an exploration: screen, flag, audit draw, selection and verdict in one pure function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainspot.common.errors import DataError
from trainspot.data.dataset import Dataset
from trainspot.descriptors import require
from trainspot.judge.calibrate import Calibration
from trainspot.judge.draws import Draws, Pool
from trainspot.judge.novelty import Novelty
from trainspot.judge.screen import screen
from trainspot.judge.select import Selection, needs_descriptors, strategy
from trainspot.judge.settings import UNITS, JudgeSettings, SelectSettings
from trainspot.judge.space import Space
from trainspot.judge.verdict import State, verdict
from trainspot.predictions.predictions import Predictions
from trainspot.predictions.statistics import Array

NOVELTY: Final = "novelty"
"""What novelty is called among the causes of a flag."""

KNOWN: Final = "known already"
"""The reason of an explored frame that was in the dataset before."""


@dataclass(frozen=True)
class Judgement:
    """What is labelled next, and why; every frame explored has a reason.

    Attributes:
        verdict: What happens next, see ``State``.
        selected: Ids chosen among the flagged (or at random, see ``fallback``).
        audit: Ids drawn uniformly from the valid frames, or the final audit of those agreed on;
            disjoint from ``selected``.
        flagged: Ids of valid frames beyond a threshold, of disagreement or of novelty.
        refused: Frames that the screen refused, by reason.
        duplicates: Explored frames that were met before, or were known already.
        explored: Frames explored, duplicates included.
        valid: Frames that passed the screen and are new.
        fallback: Whether no threshold was fitted, so that the choice was random.
        reasons: For each explored id, in words, what was decided and why.
        flagged_by: How many frames each property and ``novelty`` flags; a frame counts for all.
        near_duplicates: Valid frames that nearly equal a known or another explored one.
        novelty: The thresholds of novelty and what they rest on, see ``novelty.Novelty``.
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
    flagged_by: Mapping[str, int] = field(default_factory=dict)
    near_duplicates: int = 0
    novelty: Mapping[str, Any] = field(default_factory=dict)

    @property
    def chosen(self) -> list[str]:
        """All ids to be labelled next."""
        return [*self.selected, *self.audit]

    def summary(self) -> str:
        """The counts in one line."""
        refused = ", ".join(f"{n} {reason}" for reason, n in self.refused.items()) or "none"
        by = ", ".join(f"{name}: {n}" for name, n in self.flagged_by.items() if n)
        flagged = f"{len(self.flagged)} flagged" + (f" ({by})" if by else "")
        near = f"{self.near_duplicates} near-duplicates, " if self.near_duplicates else ""
        return (
            f"{self.explored} frames; refused: {refused}; {flagged}; {near}"
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
            added = ("flagged_by", "near_duplicates", "novelty")  # judgements of 0.1 lack them
            names = [
                one.name for one in fields(cls) if one.name in content or one.name not in added
            ]
            values: dict[str, Any] = {name: content[name] for name in names}
            values["verdict"] = State(values["verdict"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("this is not a judgement") from error
        values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**values)


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
) -> Judgement:
    """Screen, flag, draw the audit, select and give the verdict.

    Args:
        explored: Frames of the exploration.
        predictions: The committee's, for all of them.
        calibrations: The threshold of each judged property.
        known: Frames that are labelled, wait for labels, or failed: never selected again. Novelty
            is the distance to the labelled training frames among them.
        settings: Limits, budget and stopping rules.
        iteration: Number of this iteration; the first is 1.
        seed: The campaign's; the draws of different iterations are independent.
        starts: Frames the trajectories started from, for the screen.

    Raises:
        InputError: A frame that the predictions lack, or an unknown selection method.
        MissingExtraError: Descriptors are needed and their library is not installed.
    """
    by = settings.select
    selection = strategy(by.method)  # refused now if unknown, drawn on or not
    unique = list(dict.fromkeys(explored.ids))
    screened = screen(explored, starts, predictions, settings.screen)
    met = set(known.ids)
    valid = sorted(identity for identity in screened.kept if identity not in met)
    frames = explored.select(valid)
    space = Space.of(frames, known, by.descriptor) if _needs_space(by, selection) else None
    novelty = space.novelty(by.novelty, by.near_duplicate) if space else Novelty()
    ratios = threshold_ratios(predictions.select(valid), calibrations)
    disagrees = _any_beyond(ratios, len(valid))
    novel = np.zeros(len(valid), dtype=np.bool_)
    limits = novelty.of(frames)
    if space and novelty.thresholds:
        ratios[NOVELTY] = space.from_training() / limits
        novel = ratios[NOVELTY] > 1.0
    fallback = not any(calibration.fitted for calibration in calibrations.values())
    state = verdict(
        explored=len(unique),
        valid=len(valid),
        flagged=int(disagrees.sum()),
        fitted=not fallback,
        iteration=iteration,
        settings=settings.stop,
        novel=int(novel.sum()),
        expected=1.0 - novelty.share if novelty.share else 0.0,
    )
    score = np.max(np.stack([*ratios.values(), np.zeros(len(valid))]), axis=0)
    repeated = space.repeated(by.near_duplicate, score) if space else {}
    pool = Pool(frames, score, disagrees, novel, repeated, space)
    drawn = Draws(pool, selection, settings, iteration, seed, fallback=fallback).of(state)
    reasons = {identity: f"refused: {why}" for identity, why in screened.reasons.items()}
    reasons |= dict.fromkeys(met & set(screened.kept), KNOWN)
    for row, identity in enumerate(valid):
        stands_out = {name: float(ratio[row]) for name, ratio in ratios.items()}
        why = _why(stands_out, calibrations, float(limits[row]))
        how = drawn.how.get(identity)
        reasons[identity] = f"{drawn.decision(identity)}: {why}" + (f"; {how}" if how else "")
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
        reasons=dict(sorted(reasons.items())),
        flagged_by={name: int(np.sum(ratio > 1.0)) for name, ratio in ratios.items()},
        near_duplicates=len(repeated),
        novelty=novelty.to_dict(),
    )


def threshold_ratios(
    predictions: Predictions, calibrations: Mapping[str, Calibration]
) -> dict[str, Array]:
    """Δ/τ of each property and frame, (N,); beyond 1 a frame is flagged."""
    delta = predictions.disagreement()
    return {name: delta[name] / found.threshold for name, found in calibrations.items()}


def check_installed(settings: SelectSettings) -> None:
    """Refuse, before anything is spent, a selection whose library is missing.

    Raises:
        MissingExtraError: With the pip line that brings it.
        UnknownNameError: No such selection method.
    """
    if _needs_space(settings, strategy(settings.method)):
        require()


def _needs_space(settings: SelectSettings, selection: Selection) -> bool:
    """Whether judging needs descriptors: the paper's does not."""
    wanted = settings.novelty is not None or settings.near_duplicate > 0.0
    return wanted or needs_descriptors(selection)


def _any_beyond(ratios: Mapping[str, Array], n: int) -> NDArray[np.bool_]:
    beyond = [ratio > 1.0 for ratio in ratios.values()]
    return np.asarray(np.any([*beyond, np.zeros(n, dtype=np.bool_)], axis=0))


def _why(
    ratios: dict[str, float], calibrations: Mapping[str, Calibration], novel_beyond: float
) -> str:
    """The property that stands out most, and whether the frame is novel, in words."""
    far = ratios.pop(NOVELTY, 0.0)
    name = max(ratios, key=lambda key: ratios[key])
    threshold = calibrations[name].threshold
    word = "exceeds" if ratios[name] > 1.0 else "is within"
    found = (
        f"disagreement on {name} of {ratios[name] * threshold:.3g} {word} the threshold of "
        f"{threshold:.3g} {UNITS[name]}"
    )
    if far <= 1.0:
        return found
    distance = f"{far * novel_beyond:.3g} from the nearest training frame exceeds"
    return f"{found}; novelty: a distance of {distance} {novel_beyond:.3g}"
