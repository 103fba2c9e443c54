"""One turn of the loop as pure decisions, shared by the loop in Python and the AiiDA campaign.

Both drive real or toy engines in their own way; what is decided between two engines happens here
and only here, so that the same seed selects the same frames.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

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
class Work:
    """What the engines did in an iteration.

    Attributes:
        n: Number of the iteration; the first is 1.
        labelled: New labels.
        label_failures: Frames that could not be labelled.
        exploration_failures: Runs that did not reach their end.
        reference: Engine and code of the labels.
        runs: Runs of molecular dynamics; 0 where an earlier version did not count them.
        broken_off: How many runs did not reach their end for each reason.
    """

    n: int
    labelled: int
    label_failures: int
    exploration_failures: int
    reference: Mapping[str, str]
    runs: int = 0
    broken_off: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """What an iteration ends with.

    Attributes:
        judgement: What is labelled next, and why.
        chosen: The frames that are labelled next, unlabelled.
        dataset: The dataset with these frames joined.
        budget_spent: Whether the label budget forbids another label.
    """

    judgement: Judgement
    chosen: Dataset
    dataset: Dataset
    budget_spent: bool


@dataclass(frozen=True)
class Score:
    """How an earlier judgement fared, once its frames were labelled.

    Attributes:
        prospective: TPR, PPV and their intervals of each property, on the new labels; under
            ``audit`` the same on the audit frames alone. The batch was chosen among flagged
            frames, which raises its TPR; the audit was drawn from all and is unbiased.
        audit_pairs: Pairs of all audit frames so far, as judged before they were trained on.
        misses: Final-audit frames that err beyond the tolerance.
        conclusion: What a final audit concludes; ``None`` after an ordinary selection.
    """

    prospective: Mapping[str, Any]
    audit_pairs: Pairs
    misses: int
    conclusion: State | None

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return {
            "prospective": dict(self.prospective),
            "audit_pairs": self.audit_pairs.to_dict(),
            "misses": self.misses,
            "conclusion": self.conclusion.value if self.conclusion else None,
        }


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
    found = calibrate(pairs, rules.tolerance, rules.calibrate, rules.seed)
    found = of_committee(found, predictions.committee)
    return pairs, with_atom_scale(found, validation, predictions)


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
        judgement = replace(judgement, selected=(), audit=())
    unique = explored.select(dict.fromkeys(explored.ids))
    chosen = unique.select(judgement.chosen)
    if rules.judge.select.held_out == "audit":
        chosen = trained_on(chosen, judgement.selected)
    return Decision(judgement, chosen, dataset.merge(chosen), budget_spent=spent)


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
    found = {
        name: rate.to_dict() | {"audit": unbiased[name].to_dict()} for name, rate in batch.items()
    }
    return Score(found, Pairs.concatenate([audit_pairs, audit]), missed, None)


def member_of(iteration: int, committee: int, seed: int) -> int:
    """Which member drives the exploration of an iteration, drawn by seed."""
    return int(generator(seed, "explorer", iteration).integers(committee))


def rmse(dataset: Dataset, predictions: Predictions) -> dict[str, Any]:
    """Mean and standard deviation over members of the RMSE, by set and property.

    Only frames that are labelled and were evaluated count; sets without any are left out.
    """
    evaluated = set(predictions.ids)
    found: dict[str, Any] = {}
    for split in SPLITS:
        frames = dataset.labelled().subset(split)
        frames = frames.select([identity for identity in frames.ids if identity in evaluated])
        if not len(frames):
            continue
        members = predictions.select(frames.ids).member_rmse(frames)
        found[split] = {
            name: {"mean": float(values.mean()), "std": float(values.std(ddof=1))}
            for name, values in members.items()
        }
    return found


def record(
    dataset: Dataset,
    explored: Dataset,
    predictions: Predictions,
    calibrations: Mapping[str, Calibration],
    judgement: Judgement,
    work: Work,
) -> dict[str, Any]:
    """The figures of an iteration, as ``trainspot status --json`` shows them.

    Args:
        dataset: The dataset the committee was trained on.
        explored: The exploration.
        predictions: The committee's.
        calibrations: The thresholds.
        judgement: What was decided.
        work: What the engines did.
    """
    known = dataset.labelled()
    return {
        "labelled_total": len(known),
        **asdict(work),
        "duplicates": judgement.duplicates,
        "sets": {split: len(known.subset(split)) for split in SPLITS},
        "rmse": rmse(dataset, predictions),
        "calibration": {name: c.to_dict() for name, c in calibrations.items()},
        "explored": len(explored),
        "refused": dict(judgement.refused),
        "flagged": len(judgement.flagged),
        "flagged_by": dict(judgement.flagged_by),
        "near_duplicates": judgement.near_duplicates,
        "novelty": dict(judgement.novelty),
        "selected": len(judgement.selected),
        "audit": len(judgement.audit),
        "random_choice": judgement.fallback,
        "verdict": judgement.verdict.value,
    }


def finished_record(
    found: Mapping[str, Any],
    scored: Mapping[str, Any] | None,
    test: Dataset,
    predictions: Predictions,
) -> dict[str, Any]:
    """A record completed with what only later iterations know.

    Args:
        found: The record made when the iteration was judged.
        scored: ``Score.to_dict`` of its judgement, if its frames were labelled.
        test: The final test frames.
        predictions: Of this iteration's committee for them.
    """
    complete = dict(found)
    complete["common_test"] = predictions.select(test.ids).rmse(test) if len(test) else {}
    if scored is not None:
        complete["prospective"] = scored["prospective"]
        if scored["conclusion"] is not None:
            complete["final_audit"] = {k: scored[k] for k in ("misses", "conclusion")}
    return complete
