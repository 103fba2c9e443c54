"""The verdict on a campaign in words: whether the potential is within the tolerance, and limits.

The headline depends on the ending of the campaign and on the errors within the tolerance, see
``headlines``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from trainspot.campaign.exit import exit_of
from trainspot.common import text
from trainspot.common.text import broken_off, counted
from trainspot.judge.decision import NOVELTY
from trainspot.predictions.calibration import MIN_PAIRS
from trainspot.report.findings.headlines import HEADLINES, UNSURE, Answer, Ending, Within
from trainspot.report.quantities import QUANTITIES, Quantity, number

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from trainspot.campaign.record import IterationRecord
    from trainspot.report.findings.data import ReportData

_STATUSES: Final = {
    0: Ending.CONVERGED,
    420: Ending.ITERATIONS,
    421: Ending.BUDGET,
    422: Ending.POOL,
}
_NOTHING_VALID: Final = 411
_GOING_ON: Final = ("created", "running", "waiting")
_UNTESTED_YET: Final = "No committee has been tested yet."
_NO_ERRORS: Final = "No errors were recorded."
_FEW_FRAMES: Final = 12
_MANY_FLAGGED: Final = 0.05
_INSTEAD: Final = {
    "largest ratio": "The threshold comes from the largest error per disagreement, so it flags "
    "rather too much.",
    "no pairs": "Every frame is flagged.",
    "": "The tolerance itself is the threshold, which misses most errors.",
}
"""The threshold without a fit, by ``Calibration.basis``."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary at the top of the page.

    Attributes:
        answer: Whether the errors of the potential are within the tolerance.
        headline: The answer in one sentence, without its full stop.
        sentences: Grounds of the answer.
        limits: Limits of the answer, the most important first.
    """

    answer: Answer
    headline: str
    sentences: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)


class _Judged(NamedTuple):
    """The error of a property with its tolerance, eV and Å."""

    quantity: Quantity
    error: float
    tolerance: float

    @property
    def good(self) -> bool:
        return self.error <= self.tolerance


def summarise(data: ReportData) -> Summary:
    """The answer with grounds and limits, from the numbers of the campaign."""
    ending = ending_of(data)
    record = next((r for r in reversed(data.records) if _errors(r)), None)
    if record is None:
        answer, headline = HEADLINES[ending, Within.NOT_TESTED]
        untested = _UNTESTED_YET if ending is Ending.RUNNING else _NO_ERRORS
        return Summary(answer, headline, [untested, _ending(data, ending)], _why_ended(data))
    judged = [
        _Judged(quantity, _errors(record)[quantity.key], data.tolerance[quantity.key])
        for quantity in QUANTITIES
        if quantity.key in _errors(record) and quantity.key in data.tolerance
    ]
    trust = _calibration_limits(record)
    answer, headline = _verdict(ending, within(judged), sure=not trust)
    headline = headline.format(
        which=_unseen(record),
        good=_names(figure for figure in judged if figure.good),
        bad=_names(figure for figure in judged if not figure.good),
    )
    limits = [
        *_why_ended(data),
        *(_beyond(*figure) for figure in judged if not figure.good),
        *_strategy_limits(data),
        *trust,
        *_exploration_limits(data, record, ending),
        *_screen_limits(data.records),
        *_data_limits(data, record),
    ]
    return Summary(answer, headline, _grounds(data, record, judged, ending), limits)


def within(judged: Sequence[_Judged]) -> Within:
    """Which of these errors are within their tolerances."""
    if not judged:
        return Within.NOT_STATED
    good = sum(figure.good for figure in judged)
    return Within.ALL if good == len(judged) else Within.SOME if good else Within.NONE


def _verdict(ending: Ending, errors: Within, *, sure: bool) -> tuple[Answer, str]:
    """Answer and headline, with placeholders for names."""
    if (ending, errors) == (Ending.CONVERGED, Within.ALL) and not sure:
        return "open", UNSURE
    return HEADLINES[ending, errors]


def _names(judged: Iterable[_Judged]) -> str:
    """``energy``, ``energy and stress``, or ``energy, forces and stress``."""
    *first, last = [figure.quantity.key for figure in judged] or [""]
    return f"{', '.join(first)} and {last}" if first else last


def ending_of(data: ReportData) -> Ending:
    """How the campaign ended."""
    if "state" not in data.status:
        return Ending.BY_HAND
    status, label = _exit(data)
    state = str(data.status["state"])
    if status in _STATUSES:
        return _STATUSES[status]
    if status is None and not label and state in _GOING_ON:
        return Ending.RUNNING
    return Ending.STOPPED if state == "killed" else Ending.FAILED


def _errors(record: IterationRecord) -> dict[str, float]:
    """Mean RMSE of the members on test frames (else validation frames), by property."""
    return {key: error.mean for key, error in record.rmse.get(_unseen(record), {}).items()}


def _unseen(record: IterationRecord) -> str:
    return "test" if record.rmse.get("test") else "validation"


def _exit(data: ReportData) -> tuple[int | None, str]:
    """Exit status (``None`` before the end) and its label."""
    ended = exit_of(data.status)
    return (ended.status, ended.label) if ended else (None, "")


def _grounds(
    data: ReportData, record: IterationRecord, judged: Sequence[_Judged], ending: Ending
) -> list[str]:
    which = _unseen(record)
    n_frames = (record.sets or {}).get(which)
    frames = f"{n_frames} {which} frames" if n_frames else f"the {which} frames"
    by_hand = ending is Ending.BY_HAND
    committee = "committee" if by_hand else f"committee of iteration {record.n}"
    said = [
        f"The {committee} was compared with {frames}, which no training used."
        if which == "test"
        else f"There are no test frames. The {committee} was compared with {frames}; its training "
        "used them to choose the best epoch."
    ]
    said += [
        f"{quantity.title}: a single member has an error of {quantity.show(error)} (RMSE); "
        f"the tolerance is {quantity.show_exact(tolerance)}."
        for quantity, error, tolerance in judged
    ]
    if not judged:
        said.append("There is no tolerance to compare the errors with.")
    said += _of_pool(data, record)
    said.append(_ending(data, ending))
    if record.final_audit:
        missed = counted(record.final_audit.misses, "frame")
        said.append(
            f"The final audit found {missed} with an error beyond the tolerance that had not been "
            "flagged."
        )
    return said


def _ending(data: ReportData, ending: Ending) -> str:
    """The ending in a sentence or two."""
    label = _exit(data)[1]
    state = str(data.status.get("state") or "unknown")
    after = f"after {counted(len(data.records), 'iteration')}"
    verb = {"failed": "failed", "excepted": "crashed"}.get(state, f"is {state}")
    return {
        Ending.CONVERGED: f"The campaign converged {after}: {_nothing_new(data)}.",
        Ending.ITERATIONS: f"The campaign used up its iterations {after}; it did not converge.",
        Ending.BUDGET: f"The campaign used up its budget {after}; it did not converge.",
        Ending.POOL: f"The campaign used up its pool {after}; it did not converge.",
        Ending.FAILED: f"The campaign {verb} ({label or state}) {after}.",
        Ending.STOPPED: f"The campaign was stopped ({label or state}) {after}.",
        Ending.RUNNING: f"The campaign is still running (iteration {len(data.records)}). All "
        "numbers here are provisional.",
        Ending.BY_HAND: "The committee was made stage by stage. No campaign explored new "
        "structures with it.",
    }[ending]


def _nothing_new(data: ReportData) -> str:
    """What a campaign that converged did not find any more."""
    if data.draws_from_pool:
        return "the rest of the pool has nothing new"
    return "exploration found nothing new"


def _of_pool(data: ReportData, record: IterationRecord) -> list[str]:
    """The use of the pool, and the true errors of the frames that were left in it."""
    used = record.pool
    if used is None:
        return []
    labelled = counted(int(data.dataset.is_labelled.sum()), "frame")
    said = [f"It has {labelled} with labels, of a pool of {used.frames}."]
    errors = [f"{q.key} {q.show(used.rmse[q.key])}" for q in QUANTITIES if q.key in used.rmse]
    if not errors:
        return said
    judged = f"{record.explored} of the {used.left}" if record.explored != used.left else "the"
    said.append(
        f"On {judged} {counted(used.left, 'frame')} that were left in the pool, which no training "
        f"used, the committee mean has these errors (RMSE): {', '.join(errors)}. "
        f"{used.missed} of the {used.unflagged} frames that were not flagged have an error beyond "
        "the tolerance."
    )
    return said


def _why_ended(data: ReportData) -> list[str]:
    """Reason and remedy of an early ending, in the words of ``trainspot status``."""
    ended = exit_of(data.status)
    return [f"Why it ended: {ended.why}"] if ended and ended.why else []


def _beyond(quantity: Quantity, error: float, tolerance: float) -> str:
    return f"{quantity.title}: the error is {number(error / tolerance, 2)} times the tolerance."


def _strategy_limits(data: ReportData) -> list[str]:
    last = data.last_predictions
    strategies = data.strategies(last, "test") if last else {}
    if len(strategies) < 2:
        return []
    (worst, (error, frames)), *_, (best, (least, _)) = strategies.items()
    forces = QUANTITIES[1]
    if error < 1.5 * least:
        return []
    sentence = (
        f"The force error depends on the strategy: it is largest for “{worst}” "
        f"({forces.show(error)}, {counted(frames, 'test frame')}) and smallest for “{best}” "
        f"({forces.show(least)})."
    )
    return [sentence]


def _calibration_limits(record: IterationRecord) -> list[str]:
    if not record.calibration:
        return ["The disagreement was not calibrated: error bars are raw disagreements."]
    limits = []
    for quantity in QUANTITIES:
        fit = record.calibration.get(quantity.key)
        if fit and (fit.verdict != "good" or not fit.fitted):
            limits.append(
                f"{quantity.title}: the calibration is {fit.verdict} ({fit.pairs} pairs). Here the "
                f"disagreement says little about the error. {_INSTEAD.get(fit.basis, '')}".strip()
            )
    return limits


def _exploration_limits(data: ReportData, record: IterationRecord, ending: Ending) -> list[str]:
    limits = []
    flagged = record.flagged
    if record.explored and flagged is not None:
        valid = max(1, record.valid)
        if flagged / valid > _MANY_FLAGGED:
            novel = (record.flagged_by or {}).get(NOVELTY)
            causes = "unsure" + (f", or that are novel ({novel} frames)" if novel else "")
            limits.append(
                f"In the last exploration {flagged} of {valid} valid frames "
                f"({100 * flagged / valid:.0f} %) were flagged: "
                f"{'the pool still has' if record.pool else 'molecular dynamics still finds'} "
                f"structures of which the committee is {causes}."
            )
    broken = broken_off(record.exploration_failures, record.runs, record.broken_off)
    if broken and _exit(data)[0] != _NOTHING_VALID:
        limits.append(f"In the last exploration {broken}.")
    if ending is Ending.ITERATIONS and not _why_ended(data):
        limits.append("The campaign reached its largest number of iterations; more may help.")
    if record.random_choice:
        limits.append("Without a calibration, the last frames were selected at random.")
    if lacking := too_few(record):
        limits.append(f"{lacking[0].upper()}{lacking[1:]}.")
    return limits


def _screen_limits(records: Iterable[IterationRecord]) -> list[str]:
    audited = screen_audit(records)
    return [f"{audited}."] if audited else []


def screen_audit(records: Iterable[IterationRecord]) -> str:
    """What the labels of refused frames say about the screen; empty without such labels."""
    audits = [record.screen_audit for record in records if record.screen_audit]
    labelled = sum(audit.labelled or 0 for audit in audits)
    physical = sum(audit.physical or 0 for audit in audits)
    if not labelled:
        return ""
    said = text.screen_audit(labelled, physical)
    if not physical:
        return said
    return f"{said}: a larger screen.overlap_force or screen.max_force refuses fewer of them"


def too_few(record: IterationRecord) -> str:
    """Reason and remedy if an iteration had too few frames for thresholds; else empty."""
    fits = record.calibration.values()
    pairs = max((fit.pairs for fit in fits), default=0)
    needed = max((fit.needed for fit in fits), default=MIN_PAIRS)
    if not (fits or record.random_choice) or any(fit.fitted for fit in fits) or pairs >= needed:
        return ""
    return (
        f"thresholds need {needed} labelled frames outside the training set, and there were "
        f"{pairs}: {needed - pairs} are missing; increase the share of validation "
        "(split.fractions)"
    )


def _data_limits(data: ReportData, record: IterationRecord) -> list[str]:
    limits = []
    which = _unseen(record)
    n_frames = (record.sets or {}).get(which)
    if n_frames is not None and n_frames < _FEW_FRAMES:
        limits.append(f"Only {n_frames} {which} frames: the errors above are uncertain.")
    failed = sum(record.label_failures or 0 for record in data.records)
    if failed:
        limits.append(
            f"{counted(failed, 'frame')} could not be labelled. Such structures may be missing in "
            "the training."
        )
    return limits
