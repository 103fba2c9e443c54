"""The campaign in plain words: is the potential within the tolerance, and what limits it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from trainspot.common.text import broken_off, sentences
from trainspot.judge.calibrate import MIN_PAIRS
from trainspot.judge.judgement import NOVELTY
from trainspot.report.findings.counts import count_of
from trainspot.report.quantities import QUANTITIES, Quantity, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainspot.report.findings.data import ReportData

Answer = Literal["yes", "partly", "no", "unknown"]

HEADLINES: Final[dict[Answer, str]] = {
    "yes": "Within the tolerance, on frames the potential has never seen",
    "partly": "Partly within the tolerance",
    "no": "Not yet within the tolerance",
    "unknown": "Too early to say",
}
_CONVERGED, _NOTHING_VALID, _MAX_ITERATIONS, _BUDGET_SPENT = 0, 411, 420, 421
_USED_UP: Final = {_MAX_ITERATIONS: "its iterations", _BUDGET_SPENT: "its budget"}
_FEW_FRAMES: Final = 12
_MANY_FLAGGED: Final = 0.05


@dataclass(frozen=True, slots=True)
class Summary:
    """What a newcomer reads first.

    Attributes:
        answer: Whether the potential can be trusted within the tolerance.
        headline: The answer in a few words.
        sentences: What the answer rests on.
        limits: What limits it, most important first.
    """

    answer: Answer
    headline: str
    sentences: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)


def summarise(data: ReportData) -> Summary:
    """The answer, its grounds and its limits, from the numbers alone."""
    record = next((r for r in reversed(data.records) if _errors(r)), None)
    if record is None:
        grounds = [
            "No committee has been tested yet.",
            *([] if _by_hand(data) else [_ending(data)]),
        ]
        return Summary("unknown", HEADLINES["unknown"], grounds, _why_ended(data))
    judged = [
        (quantity, _errors(record)[quantity.key], data.tolerance[quantity.key])
        for quantity in QUANTITIES
        if quantity.key in _errors(record) and quantity.key in data.tolerance
    ]
    within = [error <= tolerance for _, error, tolerance in judged]
    limits = _why_ended(data)
    limits += [_excess(*one) for one, good in zip(judged, within, strict=True) if not good]
    trust = _calibration_limits(record)
    limits += _motif_limits(data) + trust + _exploration_limits(data, record)
    limits += _data_limits(data, record)
    answer: Answer = "unknown"
    if judged:
        settled = not trust and _exit(data)[0] == _CONVERGED
        answer = "no" if not any(within) else "yes" if all(within) and settled else "partly"
    return Summary(answer, HEADLINES[answer], _grounds(data, record, judged), limits)


def _errors(record: dict[str, Any]) -> dict[str, float]:
    """Mean RMSE of the members on test frames (else validation frames), by property."""
    sets = record.get("rmse", {})
    chosen = sets.get("test") or sets.get("validation") or {}
    return {key: float(one["mean"]) for key, one in chosen.items() if one and "mean" in one}


def _unseen(record: dict[str, Any]) -> str:
    return "test" if record.get("rmse", {}).get("test") else "validation"


def _exit(data: ReportData) -> tuple[int | None, str]:
    """Exit status (``None`` before the end) and its label."""
    found = data.status.get("exit") or {}
    return found.get("status"), str(found.get("label") or "")


def _grounds(
    data: ReportData, record: dict[str, Any], judged: list[tuple[Quantity, float, float]]
) -> list[str]:
    which = _unseen(record)
    n_frames = record.get("sets", {}).get(which)
    frames = f"{n_frames} {which} frames" if n_frames else f"the {which} frames"
    committee = "committee" if _by_hand(data) else f"committee of iteration {record['n']}"
    sentences = [
        f"The {committee} was compared with {frames} that were kept out of its training."
        if which == "test"
        else f"There are no test frames: the {committee} was compared with {frames}, which its "
        "training used to choose the best epoch."
    ]
    sentences += [
        f"{quantity.title}: a single member is typically off by {quantity.show(error)}; "
        f"the tolerance is {quantity.show_exact(tolerance)}."
        for quantity, error, tolerance in judged
    ]
    if not judged:
        sentences.append("The campaign states no tolerance to compare its errors with.")
    sentences.append(_ending(data))
    if "final_audit" in record:
        misses = int(record["final_audit"].get("misses") or 0)
        sentences.append(f"A final audit found {misses} unflagged frames beyond the tolerance.")
    return sentences


def _by_hand(data: ReportData) -> bool:
    """Whether there was no campaign; see ``by_hand``."""
    return "state" not in data.status


def _ending(data: ReportData) -> str:
    if _by_hand(data):
        return "It was made stage by stage and not by a campaign, which would have judged it."
    (exit_status, label), state = _exit(data), str(data.status.get("state") or "unknown")
    n = len(data.records)
    iterations = f"{n} iteration" + ("" if n == 1 else "s")
    if exit_status == _CONVERGED:
        return f"The campaign ended by itself after {iterations}: exploration found nothing new."
    if exit_status in _USED_UP:
        return f"The campaign used up {_USED_UP[exit_status]} after {iterations}: not converged."
    if exit_status is None and not label and state in {"running", "waiting", "created"}:
        return f"The campaign is still running (iteration {n}); everything here is provisional."
    ended = {"failed": "failed", "excepted": "crashed", "killed": "was stopped"}
    return f"The campaign {ended.get(state, f'is {state}')} ({label or state}) after {iterations}."


def _why_ended(data: ReportData) -> list[str]:
    """Why it ended before it converged and what to do, in the words of ``trainspot status``."""
    found = data.status.get("exit") or {}
    said = sentences(str(found.get("message") or ""), str(found.get("remedy") or ""))
    return [f"Why it ended: {said}"] if said else []


def _excess(quantity: Quantity, error: float, tolerance: float) -> str:
    return (
        f"{quantity.title}: the error on unseen frames is {number(error / tolerance, 2)} times "
        f"the tolerance."
    )


def _motif_limits(data: ReportData) -> list[str]:
    last = data.last_predictions
    motifs = data.motifs(last, "test") if last else {}
    if len(motifs) < 2:
        return []
    (worst, (error, frames)), *_, (best, (least, _)) = motifs.items()
    forces = QUANTITIES[1]
    if error < 1.5 * least:
        return []
    sentence = (
        f"Forces are worst for frames of origin “{worst}” ({forces.show(error)} over {frames} "
        f"test {'frame' if frames == 1 else 'frames'}) and best for “{best}” "
        f"({forces.show(least)})."
    )
    return [sentence]


def _calibration_limits(record: dict[str, Any]) -> list[str]:
    made = record.get("calibration") or {}
    if not made:
        return ["Disagreement was not calibrated, so error bars are raw disagreements."]
    found = []
    for quantity in QUANTITIES:
        one = made.get(quantity.key)
        if one and (one.get("verdict") != "good" or not one.get("fitted", True)):
            found.append(
                f"{quantity.title}: the calibration is {one.get('verdict', 'undetermined')} "
                f"({one.get('pairs', 0)} pairs), so disagreement is a weak sign of error there."
            )
    return found


def _exploration_limits(data: ReportData, record: dict[str, Any]) -> list[str]:
    limits = []
    explored, flagged = record.get("explored"), record.get("flagged")
    if explored and flagged is not None:
        valid = max(1, explored - (count_of(record, "refused") or 0))
        if flagged / valid > _MANY_FLAGGED:
            novel = (record.get("flagged_by") or {}).get(NOVELTY)
            more = f", or that are novel to it ({novel})" if novel else ""
            limits.append(
                f"In the last exploration {flagged} of {valid} valid frames "
                f"({100 * flagged / valid:.0f} %) were flagged: molecular dynamics still reaches "
                f"structures on which the committee is unsure{more}."
            )
    if (broken := broken_off(record)) and _exit(data)[0] != _NOTHING_VALID:
        limits.append(f"In the last exploration {broken}.")
    if _exit(data)[0] == _MAX_ITERATIONS and not _why_ended(data):
        limits.append("The campaign stopped at its largest number of iterations; more may help.")
    if record.get("random_choice"):
        limits.append("Without a calibration, the last frames were chosen at random.")
        if lacking := too_few(record):
            limits.append(f"{lacking[0].upper()}{lacking[1:]}.")
    return limits


def too_few(record: Mapping[str, Any]) -> str:
    """Why an iteration had no thresholds, if the number of frames is why, and what to do."""
    made = (record.get("calibration") or {}).values()
    pairs = max((int(one.get("pairs") or 0) for one in made), default=0)
    if not record.get("random_choice") or pairs >= MIN_PAIRS:
        return ""
    return (
        f"thresholds take {MIN_PAIRS} labelled frames outside the training set, of which there "
        f"were {pairs}: a larger share of validation (split.fractions) brings more"
    )


def _data_limits(data: ReportData, record: dict[str, Any]) -> list[str]:
    limits = []
    which = _unseen(record)
    n_frames = record.get("sets", {}).get(which)
    if n_frames is not None and n_frames < _FEW_FRAMES:
        limits.append(f"Only {n_frames} {which} frames: the errors above are themselves uncertain.")
    failed = sum(int(r.get("label_failures") or 0) for r in data.records)
    if failed:
        verb = "frame could" if failed == 1 else "frames could"
        limits.append(f"{failed} {verb} not be labelled; such structures may be missing.")
    return limits
