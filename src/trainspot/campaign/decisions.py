"""One turn of the loop as pure decisions, shared by the loop in Python and the AiiDA campaign.

Both drive real or toy engines in their own way; what is decided between two engines happens here
and only here, so that the same seed selects the same frames.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from trainspot.campaign.record import (
    FinalAudit,
    IterationRecord,
    MemberError,
    Prospective,
    Work,
)
from trainspot.common.errors import DataError
from trainspot.common.seeds import generator
from trainspot.data.dataset import Dataset
from trainspot.data.frames import SPLITS
from trainspot.judge.atoms import with_atom_coverage, with_atom_scale
from trainspot.judge.calibrate import Calibration, calibrate, of_committee
from trainspot.judge.judgement import Judgement, judge
from trainspot.judge.pairs import Pairs, collect_pairs
from trainspot.judge.scoring import prospective
from trainspot.judge.settings import CalibrateSettings, JudgeSettings, Tolerance
from trainspot.judge.verdict import State, conclude, misses
from trainspot.predictions.predictions import Predictions

NO_PAIRS = Pairs.concatenate([])


@dataclass(frozen=True)
class Rules:
    """All that decisions depend on, besides data.

    Attributes:
        tolerance: ε of each property.
        calibrate: How thresholds are fitted.
        judge: Screen, selection and stopping rules.
        seed: The campaign's seed.
        max_labels: Labels the campaign may have in all, or ``None``.
    """

    tolerance: Tolerance
    calibrate: CalibrateSettings
    judge: JudgeSettings
    seed: int
    max_labels: int | None = None

    def for_dataset(self, dataset: Dataset) -> JudgeSettings | None:
        """The rules of judging with what is left of the label budget; ``None`` if it is spent."""
        if self.max_labels is None:
            return self.judge
        left = self.max_labels - int(dataset.is_labelled.sum())
        if left < 1:
            return None
        select = self.judge.select
        smaller = select.model_copy(update={"max_frames": min(select.max_frames, left)})
        return self.judge.model_copy(update={"select": smaller})

    def can_pay(self, dataset: Dataset, judgement: Judgement) -> bool:
        """Whether the label budget allows what a judgement chose (a final audit only whole)."""
        if self.max_labels is None:
            return True
        return int(dataset.is_labelled.sum()) + max(1, len(judgement.chosen)) <= self.max_labels


@dataclass(frozen=True)
class Decision:
    """What an iteration ends with.

    Attributes:
        judgement: What is labelled next, and why.
        chosen: The frames that are labelled next, unlabelled.
        dataset: The dataset with these frames joined.
    """

    judgement: Judgement
    chosen: Dataset
    dataset: Dataset


@dataclass(frozen=True)
class Score:
    """How an earlier judgement fared, once its frames were labelled.

    Attributes:
        prospective: TPR, PPV and their intervals of each property, on the new labels.
        audit_pairs: Pairs of all audit frames so far, as judged before they were trained on.
        misses: Final-audit frames that err beyond the tolerance.
        conclusion: What a final audit concludes; ``None`` after an ordinary selection.
    """

    prospective: Mapping[str, Prospective]
    audit_pairs: Pairs
    misses: int
    conclusion: State | None

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return {
            "prospective": {name: rates.to_dict() for name, rates in self.prospective.items()},
            "audit_pairs": self.audit_pairs.to_dict(),
            "misses": self.misses,
            "conclusion": self.conclusion.value if self.conclusion else None,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Score:
        """The inverse of ``to_dict``.

        Raises:
            DataError: This is something else.
        """
        try:
            rates = TypeAdapter(dict[str, Prospective]).validate_python(content["prospective"])
            misses, said = int(content["misses"]), content["conclusion"]
            conclusion = None if said is None else State(said)
            return cls(rates, Pairs.from_dict(content["audit_pairs"]), misses, conclusion)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("this does not score a judgement") from error


def training_set(dataset: Dataset, *, mix_theories: bool) -> Dataset:
    """What a committee is trained on; mixed levels of theory count as one if asked for."""
    if not mix_theories or len(dataset.theories) < 2:
        return dataset
    return dataset.with_columns(theory=["mixed"] * len(dataset))


def evaluation_set(dataset: Dataset, explored: Dataset) -> Dataset:
    """What a new committee must see: the labelled held-out frames and the exploration."""
    return held_out(dataset).merge(explored)


def held_out(dataset: Dataset) -> Dataset:
    """The labelled frames that no committee is trained on."""
    labelled = dataset.labelled()
    return Dataset.concatenate(labelled.subset(split) for split in SPLITS if split != "train")


def comparison_set(dataset: Dataset, *, everything: bool) -> Dataset:
    """What committees are compared on: the labelled test frames, or all labelled frames."""
    labelled = dataset.labelled()
    return labelled if everything else labelled.subset("test")


def completed(frames: Dataset, *parts: Predictions) -> Predictions:
    """What one committee has said of these frames at different times, in their order.

    Args:
        frames: Each with its prediction in one of the parts.
        parts: Of the committee when it was judged, and for the frames it had not met then.
    """
    wanted = set(frames.ids)
    # First of each part: most of what was judged are explored frames, which are many.
    kept = [part.take(np.array([i in wanted for i in part.ids], dtype=np.bool_)) for part in parts]
    return Predictions.concatenate(kept).select(frames.ids)


def thresholds(
    dataset: Dataset, predictions: Predictions, audit_pairs: Pairs, rules: Rules
) -> tuple[Pairs, dict[str, Calibration]]:
    """Calibrate on what the committee was not trained on.

    Args:
        dataset: The dataset the committee was trained on, with its sets.
        predictions: The committee's, for ``evaluation_set``.
        audit_pairs: Of earlier audits, see ``Score``.
        rules: The user's.

    Returns:
        All pairs that were used, and the calibration of each judged property.
    """
    validation = dataset.labelled().subset("validation")
    pairs = Pairs.concatenate([audit_pairs, collect_pairs(validation, predictions)])
    calibrations = calibrate(pairs, rules.tolerance, rules.calibrate, rules.seed)
    calibrations = of_committee(calibrations, predictions.committee)
    return pairs, with_atom_scale(calibrations, validation, predictions)


def decide(
    dataset: Dataset,
    explored: Dataset,
    starts: Dataset,
    predictions: Predictions,
    calibrations: Mapping[str, Calibration],
    failed: Dataset,
    rules: Rules,
    iteration: int,
) -> Decision:
    """Judge the exploration and join what is to be labelled.

    Args:
        dataset: The dataset the committee was trained on.
        explored: The exploration of this iteration.
        starts: Its start frames.
        predictions: The committee's, for ``evaluation_set(dataset, explored)``.
        calibrations: See ``thresholds``.
        failed: Frames that could not be labelled: never chosen again.
        rules: The user's.
        iteration: Number of this iteration; the first is 1.
    """
    settings = rules.for_dataset(dataset)
    judgement = judge(
        explored,
        predictions,
        calibrations,
        dataset.merge(failed),
        settings or rules.judge,
        iteration=iteration,
        seed=rules.seed,
        starts=starts,
    )
    goes_on = judgement.verdict in (State.CONTINUE, State.AUDIT)
    spent = goes_on and not rules.can_pay(dataset, judgement)
    if spent:
        judgement = judgement.without_budget()
    unique = explored.select(dict.fromkeys(explored.ids))
    chosen = unique.select(judgement.chosen)
    if rules.judge.select.held_out == "audit":
        chosen = trained_on(chosen, judgement.selected)
    return Decision(judgement, chosen, dataset.merge(chosen))


def trained_on(frames: Dataset, ids: Collection[str]) -> Dataset:
    """The frames with some of them in the training set already; a set given before stays."""
    split, chosen = frames.column("split").copy(), set(ids)
    mine = np.array([identity in chosen for identity in frames.ids], dtype=np.bool_)
    split[mine & (split == 0)] = 1 + SPLITS.index("train")
    return frames.with_columns(split=split)


def score(
    dataset: Dataset,
    predictions: Predictions,
    calibrations: Mapping[str, Calibration],
    judgement: Judgement,
    audit_pairs: Pairs,
    rules: Rules,
    iteration: int,
) -> Score:
    """Compare a judgement with the labels it led to.

    Args:
        dataset: The dataset after labelling.
        predictions: Those the judgement was based on.
        calibrations: The thresholds it used.
        judgement: The judgement.
        audit_pairs: Of earlier audits.
        rules: The user's.
        iteration: The iteration of the judgement.
    """
    present = set(dataset.ids)

    def frames_of(ids: tuple[str, ...]) -> Dataset:
        return dataset.select([identity for identity in ids if identity in present])

    audited = frames_of(judgement.audit)
    audit = collect_pairs(audited, predictions, trained=())
    missed = misses(audit, rules.tolerance)
    if judgement.verdict is State.AUDIT:
        # Only unflagged frames: no rate can be read off them, and no threshold fitted to them.
        stop = rules.judge.stop
        conclusion = conclude(audit, rules.tolerance, iteration=iteration, settings=stop)
        return Score({}, audit_pairs, missed, conclusion)
    together = frames_of((*judgement.selected, *judgement.audit))
    batch, unbiased = (
        with_atom_coverage(
            prospective(pairs, calibrations, rules.tolerance), calibrations, frames, predictions
        )
        for pairs, frames in (
            (collect_pairs(together, predictions, trained=()), together),
            (audit, audited),
        )
    )
    rates = {name: Prospective.of(rate, unbiased[name]) for name, rate in batch.items()}
    return Score(rates, Pairs.concatenate([audit_pairs, audit]), missed, None)


def member_of(iteration: int, committee: int, seed: int) -> int:
    """Which member drives the exploration of an iteration, drawn by seed."""
    return int(generator(seed, "explorer", iteration).integers(committee))


def rmse(dataset: Dataset, predictions: Predictions) -> dict[str, dict[str, MemberError]]:
    """Mean and standard deviation over members of the RMSE, by set and property.

    Only frames that are labelled and were evaluated count; sets without any are left out.
    """
    evaluated = set(predictions.ids)
    errors: dict[str, dict[str, MemberError]] = {}
    for split in SPLITS:
        frames = dataset.labelled().subset(split)
        frames = frames.select([identity for identity in frames.ids if identity in evaluated])
        if not len(frames):
            continue
        members = predictions.select(frames.ids).member_rmse(frames)
        errors[split] = {
            name: MemberError(float(values.mean()), float(values.std(ddof=1)))
            for name, values in members.items()
        }
    return errors


def record(
    dataset: Dataset,
    explored: Dataset,
    predictions: Predictions,
    calibrations: Mapping[str, Calibration],
    judgement: Judgement,
    work: Work,
) -> IterationRecord:
    """The figures of an iteration.

    Args:
        dataset: The dataset the committee was trained on.
        explored: The exploration.
        predictions: The committee's.
        calibrations: The thresholds.
        judgement: What was decided.
        work: What the engines did.
    """
    labelled = dataset.labelled()
    return IterationRecord(
        n=work.n,
        labelled_total=len(labelled),
        labelled=work.labelled,
        label_failures=work.label_failures,
        exploration_failures=work.exploration_failures,
        reference=work.reference,
        runs=work.runs,
        broken_off=work.broken_off,
        duplicates=judgement.duplicates,
        sets={split: len(labelled.subset(split)) for split in SPLITS},
        rmse=rmse(dataset, predictions),
        calibration=calibrations,
        explored=len(explored),
        refused=judgement.refused,
        flagged=len(judgement.flagged),
        flagged_by=judgement.flagged_by,
        near_duplicates=judgement.near_duplicates,
        novelty=judgement.novelty,
        selected=len(judgement.selected),
        audit=len(judgement.audit),
        random_choice=judgement.fallback,
        verdict=judgement.verdict,
    )


def finished_record(
    judged: IterationRecord, scored: Score | None, test: Dataset, predictions: Predictions
) -> IterationRecord:
    """A record completed with what only later iterations know.

    Args:
        judged: The record made when the iteration was judged.
        scored: How its judgement fared, if its frames were labelled.
        test: The final test frames.
        predictions: Of this iteration's committee for them.
    """
    common = predictions.select(test.ids).rmse(test) if len(test) else {}
    complete = replace(judged, common_test=common)
    if scored is None:
        return complete
    audit = None if scored.conclusion is None else FinalAudit(scored.misses, scored.conclusion)
    return replace(complete, prospective=scored.prospective, final_audit=audit)
