"""The whole loop in plain Python, with engines as arguments.

This is the campaign without AiiDA: for teaching, for rehearsals with a cheap reference, and for the
test of the AiiDA campaign, which must select the same frames with the same seed::

    result = run(structures, campaign, Engines(label=…, train=…, explore=…))
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from trainspot.campaign import ending as endings
from trainspot.campaign.decisions import (
    NO_PAIRS,
    Decision,
    Score,
    comparison_set,
    completed,
    decide,
    evaluation_set,
    finished_record,
    initial_frames,
    member_of,
    prepare,
    record,
    score,
    thresholds,
    training_set,
)
from trainspot.campaign.exit import Ending
from trainspot.campaign.pool import compared
from trainspot.campaign.record import IterationRecord, PoolUse, Work
from trainspot.campaign.rules import reference_of, rules_of
from trainspot.common.errors import RunError
from trainspot.common.seeds import derive_seed
from trainspot.config.models import Campaign
from trainspot.data.dataset import Dataset
from trainspot.data.isolated import is_isolated_atom
from trainspot.data.refused import without_marked
from trainspot.evaluate.batch import evaluate
from trainspot.explore import schedule
from trainspot.explore.frames import broken_off
from trainspot.explore.schedule import Run
from trainspot.judge.judgement import check_installed
from trainspot.judge.pairs import Pairs
from trainspot.judge.verdict import State
from trainspot.judge.why import Past
from trainspot.models.potential import Potential
from trainspot.predictions.calibration import Calibration
from trainspot.predictions.predictions import Predictions
from trainspot.split import assign

Committee = Sequence[Potential]


@dataclass(frozen=True)
class Engines:
    """The engines of a loop, as functions.

    Attributes:
        label: Unlabelled frames in; labelled frames and failed frames out.
        train: Dataset with splits and a seed in; the committee out.
        explore: Start frames, runs and the driving member in; explored and failed frames out. Not
            used with ``draw``.
        draw: Ids of frames that are taken, and the iteration in; the drawn frames and the pool out.
            ``None``: the campaign explores with molecular dynamics.
        known: Frames in; the same frames with their labels, if labels are looked up. Decisions do
            not see them.
    """

    label: Callable[[Dataset], tuple[Dataset, Dataset]]
    train: Callable[[Dataset, int], Committee]
    explore: Callable[[Dataset, list[Run], Potential], tuple[Dataset, Dataset]]
    draw: Callable[[Collection[str], int], tuple[Dataset, PoolUse]] | None = None
    known: Callable[[Dataset], Dataset] | None = None


@dataclass
class Turn:
    """The data of one iteration.

    Attributes:
        committee: The members trained in the iteration.
        predictions: Predictions of the committee for the held-out and the explored frames.
        calibrations: The thresholds.
        decision: The decision.
        record: The figures of the iteration.
        score: Success of the decision, after the labelling of the chosen frames.
        explored: The explored frames.
        starts: The start frames of the exploration.
    """

    committee: Committee
    predictions: Predictions
    calibrations: dict[str, Calibration]
    decision: Decision
    record: IterationRecord
    score: Score | None = None
    explored: Dataset = field(default_factory=lambda: Dataset.from_frames([]))
    starts: Dataset = field(default_factory=lambda: Dataset.from_frames([]))

    def predictions_of(self, frames: Dataset) -> Predictions:
        """Predictions of the committee for any frames; only new frames are computed."""
        new = frames.without(self.predictions.ids)
        return completed(frames, self.predictions, evaluate(new, self.committee))


@dataclass
class Result:
    """The result of a loop.

    Attributes:
        state: The ending: ``converged``, ``exhausted``, ``pool_exhausted``, ``budget`` or
            ``no_valid_exploration``.
        dataset: All frames; the frames chosen last may have no labels.
        failed: Frames whose labelling failed.
        turns: The iterations.
    """

    state: str
    dataset: Dataset
    failed: Dataset
    turns: list[Turn] = field(default_factory=list)

    @property
    def committee(self) -> Committee:
        """The latest committee."""
        return self.turns[-1].committee

    @property
    def records(self) -> list[IterationRecord]:
        """The complete figures of all iterations, as at the end of a campaign."""
        test = comparison_set(self.dataset, everything=False)
        return [
            finished_record(turn.record, turn.score, test, turn.predictions_of(test))
            for turn in self.turns
        ]


def run(
    inputs: Dataset,
    campaign: Campaign,
    engines: Engines,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Result:
    """Run a campaign to its end.

    Args:
        inputs: Structures, or a labelled dataset.
        campaign: The resolved campaign; its engine settings are not used.
        engines: The engines.
        progress: Called with a message for each step.

    Raises:
        RunError: The labelling failed for too many frames.
        MissingExtraError: The selection needs a library that is not installed.
    """
    check_installed(campaign.select)
    rules = rules_of(campaign)
    result = Result("continue", prepare(inputs, campaign), Dataset.from_frames([]))
    audit_pairs = NO_PAIRS
    while result.state in (State.CONTINUE, State.AUDIT):
        iteration = len(result.turns) + 1
        counts = _label(result, campaign, engines, progress)
        if result.turns:
            last = result.turns[-1]
            last.score = score(
                result.dataset,
                last.predictions,
                last.calibrations,
                last.decision.judgement,
                audit_pairs,
                rules,
                iteration - 1,
            )
            audit_pairs = last.score.audit_pairs
            if last.score.conclusion not in (None, State.CONTINUE):
                result.state = str(last.score.conclusion)
                break
        _turn(result, iteration, counts, audit_pairs, campaign, engines, progress)
    return result


def _label(
    result: Result, campaign: Campaign, engines: Engines, progress: Callable[[str], None]
) -> tuple[int, int]:
    """Label the frames without labels and split all frames; returns (labelled, failed)."""
    pending = result.dataset.unlabelled()
    if not len(pending):
        return 0, 0
    progress(f"labelling {len(pending)} frames")
    labelled, failed = engines.label(pending)
    # Many frames that the screen refused cannot be labelled: they say nothing about the engine.
    counted, failures = len(without_marked(labelled)), without_marked(failed)
    atoms_failed = any(is_isolated_atom(frame) for frame in failed)
    if atoms_failed or counted < campaign.label.min_success * len(without_marked(pending)):
        ending = endings.too_few_labels(counted, failures, campaign)
        raise RunError(ending.message, hint=ending.remedy)
    result.failed = result.failed.merge(failed)
    merged = result.dataset.without(failed.ids).merge(labelled)
    result.dataset = assign(merged, campaign.split.fractions, seed=campaign.seed)
    return len(labelled), len(failed)


def _turn(
    result: Result,
    iteration: int,
    counts: tuple[int, int],
    audit_pairs: Pairs,
    campaign: Campaign,
    engines: Engines,
    progress: Callable[[str], None],
) -> None:
    """Train, explore, evaluate, decide."""
    dataset, seed = result.dataset, campaign.seed
    progress(f"iteration {iteration}: training on {len(dataset)} frames")
    frames = training_set(dataset, mix_theories=campaign.train.mix_theories)
    committee = engines.train(frames, derive_seed(seed, "train", iteration))
    seen = _explore(result, iteration, committee, campaign, engines, progress)
    explored, starts, pool = seen.explored, seen.starts, seen.pool
    settings = campaign.evaluate.settings
    predictions = evaluate(
        evaluation_set(dataset, explored), committee, max_atoms=settings.max_atoms
    )
    rules = rules_of(campaign)
    _, calibrations = thresholds(dataset, predictions, audit_pairs, rules)
    decision = decide(
        dataset,
        explored,
        starts,
        predictions,
        calibrations,
        result.failed,
        rules,
        iteration,
        pool.left if pool else None,
    )
    if pool and engines.known:
        known = engines.known(explored)
        pool = compared(pool, known, predictions, decision.judgement, campaign.tolerance)
    reference = reference_of(campaign, campaign.label.code)
    broken = broken_off(seen.failures)
    work = Work(iteration, *counts, len(seen.failures), reference, seen.runs, broken, pool)
    figures = record(dataset, explored, predictions, calibrations, decision.judgement, work)
    turn = Turn(committee, predictions, calibrations, decision, figures)
    turn.explored, turn.starts = explored, starts
    result.turns.append(turn)
    result.dataset = decision.dataset
    result.state = decision.judgement.state
    if note := decision.judgement.novelty.note:
        progress(f"iteration {iteration}: {note}")
    progress(f"iteration {iteration}: {result.state}")


@dataclass(frozen=True)
class _Exploration:
    """The frames of one exploration, and where they come from."""

    explored: Dataset
    starts: Dataset
    failures: Dataset
    runs: int = 0
    pool: PoolUse | None = None


def _explore(
    result: Result,
    iteration: int,
    committee: Committee,
    campaign: Campaign,
    engines: Engines,
    progress: Callable[[str], None],
) -> _Exploration:
    """Run molecular dynamics, or draw frames from a pool."""
    dataset, seed, nothing = result.dataset, campaign.seed, Dataset.from_frames([])
    if engines.draw is not None:
        explored, pool = engines.draw([*dataset.ids, *result.failed.ids], iteration)
        progress(f"iteration {iteration}: {len(explored)} of {pool.left} frames left in the pool")
        return _Exploration(explored, nothing, nothing, pool=pool)
    initial = initial_frames(dataset)
    runs = schedule.schedule(initial, campaign.explore.plan, seed, iteration=iteration)
    starts = schedule.start_frames(initial, runs)
    progress(f"iteration {iteration}: {len(runs)} runs of molecular dynamics")
    driver = committee[member_of(iteration, len(committee), seed)]
    explored, failures = engines.explore(starts, runs, driver)
    return _Exploration(explored, starts, failures, len(runs))


def ending_of(result: Result, campaign: Campaign) -> Ending | None:
    """Reason and remedy of an ending, in the words of a campaign; ``None`` if it converged."""
    if not result.turns:
        return None
    record = result.turns[-1].record
    if result.state == State.NO_VALID_EXPLORATION:
        return endings.nothing_valid(record, campaign.screen)
    if result.state == State.EXHAUSTED:
        return endings.not_converged(record, campaign)
    if result.state == State.POOL_EXHAUSTED:
        return endings.pool_exhausted(record, campaign.screen)
    if result.state == "budget":
        return endings.budget_spent(record, int(result.dataset.is_labelled.sum()), campaign)
    return None


def history(result: Result, campaign: Campaign) -> list[Past]:
    """The judged iterations of a loop, for ``trainspot.judge.why``."""
    return [
        Past(
            n=turn.record.n,
            explored=turn.explored,
            starts=turn.starts,
            known=turn.decision.dataset.without(turn.decision.judgement.chosen),
            predictions=turn.predictions,
            calibrations=turn.calibrations,
            judgement=turn.decision.judgement,
            descriptor=campaign.select.descriptor,
        )
        for turn in result.turns
    ]
