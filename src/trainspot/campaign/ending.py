"""Endings of a campaign: the reason with counts, and a remedy that repeats no calculation.

All outputs use these sentences: ``run --wait``, ``status``, ``status --json``, the report, the
model card and the plain loop. The sentences name only settings of the engines of the campaign.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from trainspot.campaign.exit import Ending
from trainspot.common.text import broken_off, counted, listed, most
from trainspot.data.failure import Failure, failure_of
from trainspot.data.isolated import is_isolated_atom
from trainspot.label.base import engine
from trainspot.train.run import trainer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import BaseModel

    from trainspot.campaign.record import IterationRecord
    from trainspot.config.models import Campaign
    from trainspot.data.dataset import Dataset
    from trainspot.judge.settings import ScreenSettings

DIVERGED: Final = 305
NON_FINITE: Final = 306
_NO_FRAMES, _NO_LABELS, _NO_PSEUDOPOTENTIALS, _TOO_SMALL = 200, 201, 202, 203
_WALLTIME: Final = (120, 400)
_MEMORY: Final = (110, 405)
_KNOWN: Final = dict.fromkeys(_WALLTIME, "ran out of walltime") | dict.fromkeys(
    _MEMORY, "ran out of memory"
)
"""Meaning of exit statuses of AiiDA and of trainspot for a calculation, for all engines."""
_LONGEST_REASON: Final = 160
_FROM_CACHE: Final = "finished calculations come from the cache"
_LABELS_STAY: Final = "the labels come from the cache"
_AGAIN: Final = f"run the same file again: {_FROM_CACHE}"
_THEN_AGAIN: Final = f"then run the file again: {_FROM_CACHE}"
WHAT: Final = {
    "augment": "the augmentation failed",
    "label": "the labelling failed",
    "train": "a training failed",
    "explore": "the exploration failed",
    "evaluate": "the evaluation failed",
}
"""The message of a stage that failed."""
_DOING: Final = {
    "augment": "augmenting", "label": "labelling", "train": "training", "explore": "exploring",
    "evaluate": "evaluating", "judge": "judging", "compare": "comparing the committees",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cause:
    """Why frames have no label.

    Attributes:
        reason: The recorded reason.
        exit_status: Exit status of the failed process, or ``None``.
        isolated_atom: Element of the frame, if the frame is an isolated atom.
    """

    reason: str
    exit_status: int | None
    isolated_atom: str | None

    def words(self, meanings: Mapping[int, str]) -> str:
        """The cause in a few words; ``meanings`` explain the exit statuses of the engine."""
        who = f"isolated atom {self.isolated_atom}" if self.isolated_atom else ""
        clause = (_KNOWN | dict(meanings)).get(self.exit_status or 0)
        if clause is not None:
            return f"{who} {clause}".strip()
        reason = self.reason.rstrip(".")
        if len(reason) > _LONGEST_REASON:
            reason = f"{reason[:_LONGEST_REASON]}…"
        return f"{who}: {reason}" if who else reason


def causes(failures: Dataset) -> dict[Cause, int]:
    """Number of failed frames by cause, the most frequent first; isolated atoms are separate."""
    counts: Counter[Cause] = Counter()
    for frame in failures:
        failure = failure_of(frame) or Failure("")
        atom = str(frame.to_atoms().symbols) if is_isolated_atom(frame) else None
        counts[Cause(failure.reason, failure.exit_status, atom)] += 1
    return dict(counts.most_common())


def too_few_labels(labelled: int, failures: Dataset, campaign: Campaign) -> Ending:
    """The labelling failed for too many frames, or for an isolated atom.

    Args:
        labelled: Number of labelled frames.
        failures: Frames whose labelling failed, each with its ``Failure``.
        campaign: The resolved campaign.
    """
    by_cause, section = causes(failures), campaign.label
    failed, asked = len(failures), labelled + len(failures)
    meanings = engine(section.engine).failures
    clauses = Counter[str]()
    for cause, n in by_cause.items():
        clauses[cause.words(meanings)] += n
    message = f"{failed} of {counted(asked, 'frame')} could not be labelled: {listed(clauses)}"
    bodies = sum(n for cause, n in by_cause.items() if not cause.isolated_atom)
    short = bool(bodies) and labelled < section.min_success * asked
    if short:
        message += f"; label.min_success requires {section.min_success:.0%}"
    reasons = [asdict(cause) | {"frames": n} for cause, n in by_cause.items()]
    counts = {"asked": asked, "labelled": labelled, "failed": failed, "reasons": reasons}
    return Ending(message, _label_remedy(by_cause, labelled, asked, campaign, short=short), counts)


def _label_remedy(
    by_cause: Mapping[Cause, int], labelled: int, asked: int, campaign: Campaign, *, short: bool
) -> str:
    """Settings that give the labels, or that make the labels unnecessary."""
    section = campaign.label
    continued = engine(section.engine).continued
    statuses = {cause.exit_status or 0 for cause in by_cause}
    choices, without = [], []
    if statuses & continued and has(section.settings, "max_iterations"):
        now = getattr(section.settings, "max_iterations")  # noqa: B009  (settings of any engine)
        choices.append(f"raise label.max_iterations (now {now})")
    more = _resources(statuses, section.code)
    atoms = sum(n for cause, n in by_cause.items() if cause.isolated_atom)
    if short and labelled:
        # Without {kind: isolated} labelled atoms are gone too: round down further.
        steps = 10 if atoms else 100
        share = int(steps * labelled / asked) / steps
        without.append(f"lower label.min_success (now {section.min_success:g}) to {share:g}")
    if atoms and not (short and not labelled):
        without.append(_without_atoms(campaign))
    choices += [" and ".join(without)] if without else []
    if not choices and not more:
        return f"Correct this or the settings of label ({section.engine}), {_THEN_AGAIN}"
    # A job of many frames is another calculation if one of its frames changes.
    if atoms and has(section.settings, "frames_per_job"):
        keeps = "; trainspot export saves the labels, for 'dataset:'" if labelled else ""
        return _sentence(f"{_or([*choices, *more])}{keeps}")
    # pw.x gets the walltime too, so a label with another walltime is another calculation.
    said = [f"{_or(choices)}: finished labels come from the cache"] if choices else []
    return _sentence("; or ".join([*said, *more]))


def _without_atoms(campaign: Campaign) -> str:
    """A remedy that needs no label of an isolated atom."""
    augmented = any(step.get("kind") == "isolated" for step in campaign.augment or ())
    place = (
        "in place of {kind: isolated}" if augmented else "in place of isolated atoms in the dataset"
    )
    if setting := trainer(campaign.train.engine).e0s_setting:
        return f"give train.{setting} {place}"
    what = "{kind: isolated} from augment" if augmented else "isolated atoms from the dataset"
    return f"remove {what} (the reference energies are then fitted)"


def nothing_valid(record: IterationRecord, screen: ScreenSettings) -> Ending:
    """No explored frame was new and passed the screen.

    Args:
        record: The figures of the iteration.
        screen: The limits.
    """
    explored, refused = record.explored or 0, record.refused or {}
    clauses = [_refused(reason, n, screen) for reason, n in most(refused)]
    if record.duplicates:
        clauses.append(f"{record.duplicates} already in the dataset")
    if not explored:
        message = "no frame was explored"
    else:
        message = f"no explored frame passed the screen: {', '.join(clauses)}, of {explored}"
    if broken := broken_off(record.exploration_failures, record.runs, record.broken_off):
        message += f"; {broken}"
    if record.pool:
        remedy = "Loosen the limits of screen, or remove these frames from the pool (explore.file)"
        return Ending(message, remedy, _counts_of(record))
    cooler = "explore.temperature, explore.time"
    remedy = f"Explore cooler or shorter ({cooler}), or start from more distorted frames (augment)"
    if refused.keys() == {"force"}:
        remedy += ", or raise screen.max_force if you want such forces"
    elif refused.keys() == {"volume"}:
        remedy += ", or allow more with screen.min_volume and screen.max_volume"
    elif not refused and explored:
        remedy = f"Explore longer or hotter ({cooler}): all frames are already in the dataset"
    return Ending(message, f"{remedy}; {_LABELS_STAY}", _counts_of(record))


def _counts_of(record: IterationRecord) -> dict[str, Any]:
    """The figures of an exploration, without unknown ones."""
    names = ("explored", "refused", "duplicates", "runs", "exploration_failures", "broken_off")
    figures = {name: getattr(record, name) for name in names}
    return {name: value for name, value in figures.items() if value is not None}


def _refused(reason: str, n: int, screen: ScreenSettings) -> str:
    """Frames that the screen refused, with the limit and the name of the setting."""
    volumes = f"{screen.min_volume:g} to {screen.max_volume:g} times that of the start"
    words = {
        "overlap": f"overlap (screen.overlap {screen.overlap:g})",
        "force": f"above screen.max_force ({screen.max_force:g} eV/Å)",
        "volume": f"outside screen.min_volume to screen.max_volume ({volumes})",
        "non_finite": "with predictions that are not finite",
    }
    return f"{n} {words.get(reason, reason)}"


def pool_exhausted(record: IterationRecord, screen: ScreenSettings) -> Ending:
    """No frame of the pool is left that can be chosen.

    Args:
        record: The figures of the last iteration, which drew from a pool.
        screen: The limits.
    """
    assert record.pool is not None
    frames, left = record.pool.frames, record.pool.left
    share = f"{frames - left} of {counted(frames, 'frame')}" if left else f"all {frames} frames"
    message = f"the pool is exhausted: {share} are used"
    if record.refused:
        clauses = [_refused(reason, n, screen) for reason, n in most(record.refused)]
        message += f", and the screen refused the others: {', '.join(clauses)}"
    remedy = f"Give a larger pool (explore.file) and run the file again: {_FROM_CACHE}"
    return Ending(message, remedy, {"iterations": record.n, "frames": frames, "left": left})


def not_converged(record: IterationRecord, campaign: Campaign) -> Ending:
    """The last iteration ended with flagged frames."""
    limit = campaign.stop.max_iterations
    message = (
        f"not converged after {counted(record.n, 'iteration')} "
        f"(stop.max_iterations {limit}){_open(record)}"
    )
    remedy = f"Raise stop.max_iterations and run the file again: {_FROM_CACHE}"
    return Ending(message, remedy, _quiet(record))


def budget_spent(record: IterationRecord, labelled: int, campaign: Campaign) -> Ending:
    """The label budget is spent."""
    message = (
        f"the budget is spent: {labelled} of {campaign.budget.labels} labels "
        f"(budget.labels){_open(record)}"
    )
    remedy = f"Raise budget.labels and run the file again: {_FROM_CACHE}"
    return Ending(message, remedy, _quiet(record) | {"labelled": labelled})


def _quiet(record: IterationRecord) -> dict[str, Any]:
    return {"iterations": record.n, "valid": record.valid, "flagged": record.flagged or 0}


def _open(record: IterationRecord) -> str:
    if record.valid < 1:
        return ""
    flagged = f"{record.flagged or 0} of {record.valid} valid frames were flagged"
    return f"; in the last exploration {flagged}"


def stage_failed(
    stage: str, iteration: int, why: str, status: int | None, campaign: Campaign, see: str = ""
) -> Ending:
    """A stage ended with an error.

    Args:
        stage: augment, label, train, explore or evaluate.
        iteration: From 1.
        why: Message of the innermost process that failed.
        status: Exit status of this process, or ``None`` if the process crashed or was killed.
        campaign: The resolved campaign.
        see: Command that shows more.
    """
    where = "" if stage == "augment" else f" in iteration {iteration}"
    remedy = _stage_remedy(stage, status, campaign) or (f"See {see}" if see else "")
    kept = _AGAIN if stage in ("augment", "label") else f"run the file again: {_LABELS_STAY}"
    remedy = f"{remedy}, then {kept}" if remedy else _sentence(kept)
    counts = {"stage": stage, "iteration": iteration, "exit_status": status}
    return Ending(f"{WHAT[stage]}{where}: {' '.join(why.split())}", remedy, counts)


def _stage_remedy(stage: str, status: int | None, campaign: Campaign) -> str:
    section = campaign.train if stage == "augment" else getattr(campaign, stage)
    if stage == "augment" or status == _NO_FRAMES:
        return "Change structures or augment"
    if status == _NO_LABELS:
        return "Give more structures, or a larger share of training frames (split.fractions)"
    if status == _NO_PSEUDOPOTENTIALS:
        return "Set label.pseudo_family to a family with all elements (aiida-pseudo list)"
    if status == _TOO_SMALL:
        return (
            "Ask for at least two members (train.committee_size), and let them differ: settings "
            "of train must leave something to the seed"
        )
    if status in (DIVERGED, NON_FINITE) and has(campaign.train.settings, "lr"):
        now = getattr(campaign.train.settings, "lr")  # noqa: B009  (settings of any trainer)
        return f"Lower train.lr (now {now:g})"
    remedies = _resources({status or 0}, section.code)
    for name in ("batch_size", "max_atoms"):
        if status in _MEMORY and (has(section.settings, name)):
            remedies.append(f"lower {stage}.{name} (now {getattr(section.settings, name)})")
    return _sentence(_or(remedies))


def _resources(statuses: set[int], code: str) -> list[str]:
    """Remedies for jobs that ran out of time or memory."""
    wanted = (("time", "walltime", _WALLTIME), ("memory", "memory", _MEMORY))
    return [
        f"give the jobs more {thing} (resources.{code}.{key})"
        for thing, key, those in wanted
        if statuses & set(those)
    ]


def stopped(
    stage: str, iteration: int, done: int, jobs: int, campaign: Campaign | None = None
) -> Ending:
    """The user stopped the campaign; ``done`` of ``jobs`` jobs of the stage had succeeded."""
    message = f"stopped while {_DOING.get(stage, stage)} in iteration {iteration}"
    if jobs:
        message += f"; {done} of {counted(jobs, 'job')} had finished successfully"
    counts = {"stage": stage, "iteration": iteration, "done": done, "jobs": jobs}
    remedy = f"To continue, {_AGAIN}"
    if stage == "label" and campaign and has(campaign.label.settings, "frames_per_job"):
        remedy += ". If a job had labelled some of its frames, trainspot export saves these labels"
    return Ending(message, remedy, counts)


def crashed(said: str, stage: str = "", iteration: int = 0) -> Ending:
    """The campaign itself raised an error; ``said`` is the line with the error."""
    where = f" (while {_DOING.get(stage, stage)} in iteration {iteration})" if stage else ""
    counts = {"stage": stage, "iteration": iteration} if stage else {}
    return Ending(f"{said or 'an error without a message'}{where}", _sentence(_AGAIN), counts)


def has(settings: BaseModel, name: str) -> bool:
    """Whether an engine has a setting of this name."""
    return name in type(settings).model_fields


def _or(choices: Sequence[str]) -> str:
    """``a``, ``a or b``, ``a, b, or c``."""
    if len(choices) < 3:
        return " or ".join(choices)
    return f"{', '.join(choices[:-1])}, or {choices[-1]}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
