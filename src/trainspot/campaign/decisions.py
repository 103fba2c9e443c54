"""One iteration as pure decisions, for the loop in Python and the AiiDA campaign.

Both run the engines in their own way. All decisions between two engines are in this module, so that
the same seed selects the same frames in both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from trainspot.augment.plan import augment, parse_plan
from trainspot.campaign.errors import absolute, rmse
from trainspot.campaign.record import (
    FinalAudit,
    IterationRecord,
    Prospective,
    ScreenAudit,
    Work,
)
from trainspot.campaign.rules import Rules
from trainspot.common.errors import DataError
from trainspot.common.seeds import generator
from trainspot.config.models import Campaign
from trainspot.data.dataset import Dataset
from trainspot.data.frames import SPLITS
from trainspot.judge import earlier
from trainspot.judge.atoms import with_atom_coverage
from trainspot.judge.calibrate import calibrate, of_committee
from trainspot.judge.judgement import Judgement, judge
from trainspot.judge.pairs import Pairs, collect_pairs
from trainspot.judge.scoring import flag_rates, prospective
from trainspot.judge.verdict import State, conclude, misses
from trainspot.predictions.absolute import absolute_errors
from trainspot.predictions.calibration import Calibration
from trainspot.predictions.predictions import Predictions
from trainspot.split import assign

NO_PAIRS = Pairs.concatenate([])


@dataclass(frozen=True)
class Decision:
    """The result of an iteration.

    Attributes:
        judgement: The judgement of the explored frames.
        chosen: The frames to label next, without labels.
        dataset: The dataset merged with these frames.
    """

    judgement: Judgement
    chosen: Dataset
    dataset: Dataset


@dataclass(frozen=True)
class Score:
    """The success of an earlier judgement, after the labelling of its frames.

    Attributes:
        prospective: TPR, PPV and their intervals of each property's threshold, on the new labels.
        flags: The same of the flags that the judgement raised, novelty included; ``None`` after a
            final audit, and in scores of earlier versions.
        audit_pairs: Pairs of all audit frames so far, from before the training on these frames.
        misses: Number of final-audit frames with an error beyond the tolerance.
        conclusion: Conclusion of a final audit; ``None`` after an ordinary selection.
        screen_audit: Outcome of the screen audit; ``None`` if no refused frame was drawn.
    """

    prospective: Mapping[str, Prospective]
    audit_pairs: Pairs
    misses: int
    conclusion: State | None
    screen_audit: ScreenAudit | None = None
    flags: Prospective | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON values only, with the version of the form."""
        audit = {"screen_audit": asdict(self.screen_audit)} if self.screen_audit else {}
        return audit | {
            "version": earlier.VERSION,
            "prospective": {name: rates.to_dict() for name, rates in self.prospective.items()},
            "audit_pairs": self.audit_pairs.to_dict(),
            "misses": self.misses,
            "conclusion": self.conclusion.value if self.conclusion else None,
            "flags": self.flags.to_dict() if self.flags else None,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Score:
        """The inverse of ``to_dict``; reads scores of earlier versions too.

        Raises:
            DataError: The content is not a score, or a newer version wrote it.
        """
        try:
            stored = earlier.score(content)
            rates = TypeAdapter(dict[str, Prospective]).validate_python(stored["prospective"])
            misses, said = int(stored["misses"]), stored["conclusion"]
            conclusion = None if said is None else State(said)
            audit = TypeAdapter(ScreenAudit | None).validate_python(stored.get("screen_audit"))
            flags = TypeAdapter(Prospective | None).validate_python(stored.get("flags"))
            pairs = Pairs.from_dict(stored["audit_pairs"])
            return cls(rates, pairs, misses, conclusion, audit, flags)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("this is not the score of a judgement") from error


def prepare(inputs: Dataset, campaign: Campaign) -> Dataset:
    """The augmented inputs, each with its split; complete inputs stay as they are."""
    seed = campaign.seed
    if not campaign.augment and len(inputs) and (inputs.column("split") > 0).all():
        return inputs
    frames = augment(inputs, parse_plan(list(campaign.augment or ())), seed).dataset
    return assign(frames, campaign.split.fractions, seed=seed)


def initial_frames(dataset: Dataset) -> Dataset:
    """The labelled frames from before the first exploration."""
    labelled = dataset.labelled()
    return labelled.take(labelled.column("iteration") == 0)


def training_set(dataset: Dataset, *, mix_theories: bool) -> Dataset:
    """The training dataset of a committee; ``mix_theories`` merges levels of theory."""
    if not mix_theories or len(dataset.theories) < 2:
        return dataset
    return dataset.with_columns(theory=["mixed"] * len(dataset))


def evaluation_set(dataset: Dataset, explored: Dataset) -> Dataset:
    """The frames that a new committee predicts: labelled held-out frames and the exploration."""
    return held_out(dataset).merge(explored)


def held_out(dataset: Dataset) -> Dataset:
    """The labelled frames that no committee is trained on."""
    labelled = dataset.labelled()
    return Dataset.concatenate(labelled.subset(split) for split in SPLITS if split != "train")


def comparison_set(dataset: Dataset, *, everything: bool) -> Dataset:
    """The frames that compare committees: the labelled test frames, or all labelled frames."""
    return dataset.take(comparison_rows(dataset, everything=everything))


def comparison_rows(dataset: Dataset, *, everything: bool) -> NDArray[np.intp]:
    """Row numbers of ``comparison_set``; only the columns that decide them are read."""
    return dataset.rows(split=None if everything else "test", labelled=True)


def completed(frames: Dataset, *parts: Predictions) -> Predictions:
    """All predictions of one committee for some frames, in the order of the frames.

    Args:
        frames: Frames, each with a prediction in one of the parts.
        parts: Predictions of the committee: those of the judgement, and those for later frames.
    """
    wanted = set(frames.ids)
    # Select in each part first: most predictions are of explored frames, which are many.
    kept = [part.take(np.array([i in wanted for i in part.ids], dtype=np.bool_)) for part in parts]
    return Predictions.concatenate(kept).select(frames.ids)


def thresholds(
    dataset: Dataset, predictions: Predictions, audit_pairs: Pairs, rules: Rules
) -> tuple[Pairs, dict[str, Calibration]]:
    """Calibrate on frames outside the training set of the committee.

    Args:
        dataset: The training dataset of the committee, with its splits.
        predictions: Predictions of the committee for ``evaluation_set``.
        audit_pairs: Pairs of earlier audits, see ``Score``.
        rules: Rules of the campaign.

    Returns:
        All pairs in the fit, and the calibration of each judged property.
    """
    validation = dataset.labelled().subset("validation")
    pairs = Pairs.concatenate([audit_pairs, collect_pairs(validation, predictions)])
    audit = audit_pairs.frame_ids
    calibrations = calibrate(pairs, rules.tolerance, rules.calibrate, rules.seed, audit)
    return pairs, of_committee(calibrations, predictions.committee)


def decide(
    dataset: Dataset,
    explored: Dataset,
    starts: Dataset,
    predictions: Predictions,
    calibrations: Mapping[str, Calibration],
    failed: Dataset,
    rules: Rules,
    iteration: int,
    pool_left: int | None = None,
) -> Decision:
    """Judge the exploration and merge the chosen frames into the dataset.

    Args:
        dataset: The training dataset of the committee.
        explored: The exploration of this iteration.
        starts: Start frames of the exploration.
        predictions: Predictions of the committee for ``evaluation_set(dataset, explored)``.
        calibrations: See ``thresholds``.
        failed: Frames whose labelling failed; they are not chosen again.
        rules: Rules of the campaign.
        iteration: Number of this iteration; the first is 1.
        pool_left: Frames that were left in the pool, if the frames were drawn from one.
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
        is_rest=pool_left is not None and len(explored) >= pool_left,
    )
    left = rules.labels_left(dataset)
    if left is not None:
        judgement = judgement.with_labels(left)
    goes_on = judgement.verdict in (State.CONTINUE, State.AUDIT)
    spent = goes_on and not rules.can_pay(dataset, judgement)
    if spent:
        judgement = judgement.without_budget()
    chosen = judgement.chosen_of(explored, rules.judge.screen.max_force)
    if rules.judge.select.held_out == "audit":
        chosen = trained_on(chosen, judgement.selected)
    return Decision(judgement, chosen, dataset.merge(chosen))


def trained_on(frames: Dataset, ids: Collection[str]) -> Dataset:
    """The frames, with the split ``train`` for some of them; a frame with a split keeps it."""
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
    """Compare a judgement with the labels of the chosen frames.

    Args:
        dataset: The dataset after labelling.
        predictions: The predictions of the judgement.
        calibrations: The thresholds of the judgement.
        judgement: The judgement.
        audit_pairs: Pairs of earlier audits.
        rules: Rules of the campaign.
        iteration: The iteration of the judgement.
    """
    present = set(dataset.ids)

    def frames_of(ids: tuple[str, ...]) -> Dataset:
        return dataset.select([identity for identity in ids if identity in present])

    audited = frames_of(judgement.audit)
    audit = collect_pairs(audited, predictions, trained=())
    missed = misses(audit, rules.tolerance)
    screened = ScreenAudit.of(len(judgement.screen_audit), frames_of(judgement.screen_audit))
    if judgement.verdict is State.AUDIT:
        # All frames are unflagged: they give no rate, and no threshold can be fitted to them.
        stop = rules.judge.stop
        conclusion = conclude(audit, rules.tolerance, iteration=iteration, settings=stop)
        return Score({}, audit_pairs, missed, conclusion, screened)
    together = frames_of((*judgement.selected, *judgement.audit))
    samples = ((collect_pairs(together, predictions, trained=()), together), (audit, audited))
    batch, unbiased = (
        with_atom_coverage(
            prospective(pairs, calibrations, rules.tolerance), calibrations, frames, predictions
        )
        for pairs, frames in samples
    )
    rates = {name: Prospective.of(rate, unbiased[name]) for name, rate in batch.items()}
    raised = set(judgement.flagged)
    flags = Prospective.of(*(flag_rates(pairs, raised, rules.tolerance) for pairs, _ in samples))
    every = Pairs.concatenate([audit_pairs, audit])
    return Score(rates, every, missed, None, screened, flags)


def member_of(iteration: int, committee: int, seed: int) -> int:
    """The member that drives the exploration of an iteration, drawn with the seed."""
    return int(generator(seed, "explorer", iteration).integers(committee))


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
        dataset: The training dataset of the committee.
        explored: The exploration.
        predictions: Predictions of the committee.
        calibrations: The thresholds.
        judgement: The judgement.
        work: Work of the engines.
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
        pool=work.pool,
        duplicates=judgement.duplicates,
        sets={split: len(labelled.subset(split)) for split in SPLITS},
        rmse=rmse(dataset, predictions),
        absolute=absolute(dataset, predictions),
        calibration=calibrations,
        explored=len(explored),
        refused=judgement.refused,
        flagged=len(judgement.flagged),
        flagged_by=judgement.flagged_by,
        near_duplicates=judgement.near_duplicates,
        novelty=judgement.novelty,
        selected=len(judgement.selected),
        audit=len(judgement.audit),
        screen_audit=ScreenAudit.of(len(judgement.screen_audit)),
        random_choice=judgement.fallback,
        verdict=judgement.verdict,
    )


def finished_record(
    judged: IterationRecord, scored: Score | None, test: Dataset, predictions: Predictions
) -> IterationRecord:
    """A record completed with the results of later iterations.

    Args:
        judged: The record of the iteration at its judgement.
        scored: Success of the judgement, if the chosen frames were labelled.
        test: The final test frames.
        predictions: Predictions of the committee of this iteration for the test frames.
    """
    common = predictions.select(test.ids).rmse(test) if len(test) else {}
    selected = predictions.select(test.ids)
    robust = absolute_errors(selected, test) if len(test) else {}
    complete = replace(judged, common_test=common, common_absolute=robust)
    if scored is None:
        return complete
    audit = None if scored.conclusion is None else FinalAudit(scored.misses, scored.conclusion)
    complete = replace(complete, prospective=scored.prospective, final_audit=audit)
    return replace(complete, screen_audit=scored.screen_audit, flags=scored.flags)
