"""The tables of a report, as text ready to print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trainspot.common.text import counted, listed
from trainspot.data.frames import SPLITS
from trainspot.judge.decision import NOVELTY, NOVELTY_OF
from trainspot.judge.novelty import grouped
from trainspot.report.findings.counts import composition_table
from trainspot.report.pages.table import NONE, Table
from trainspot.report.quantities import BY_KEY, QUANTITIES, duration, number, plus_minus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainspot.campaign.record import MemberError, ScreenAudit
    from trainspot.judge.novelty import Novelty
    from trainspot.judge.scoring import Rates
    from trainspot.predictions.absolute import Absolute
    from trainspot.predictions.calibration import Calibration, Interval
    from trainspot.report.findings.data import ReportData

_BASES: Final = {
    "fit": "fit",
    "largest ratio": "largest ratio",
    "no pairs": "no pairs: all flagged",
    "given": "the user",
    "": "not fitted, τ = ε",
}


def iterations(data: ReportData) -> Table:
    """Numbers of frames in the steps of each iteration."""
    rows = []
    for record in data.records:
        cells = [record.labelled, record.labelled_total, record.label_failures]
        cells += [(record.sets or {}).get(name) for name in SPLITS]
        cells += [record.explored, record.refusals, record.duplicates]
        cells += [record.flagged, record.selected, record.audit]
        rows.append([str(record.n), *(NONE if cell is None else str(cell) for cell in cells)])
    header = ["Iteration", "New labels", "All labels", "Failed", "Train", "Validation", "Test"]
    header += ["Explored", "Refused", "Duplicates", "Flagged", "Selected", "Audit"]
    return Table("Frames in each iteration.", header, rows)


def refusals(data: ReportData) -> Table:
    """Explored frames refused by the screen, by reason."""
    by_iteration = [(r.n, r.refused) for r in data.records if r.refused is not None]
    reasons = sorted({reason for _, counted in by_iteration for reason in counted})
    rows = [
        [str(n), *(str(counted.get(reason, 0)) for reason in reasons)]
        for n, counted in by_iteration
    ]
    caption = "Explored frames refused by the screen, by reason."
    header = ["Iteration", *reasons]
    audits = {r.n: r.screen_audit for r in data.records if r.screen_audit}
    if audits:
        header += ["Drawn", "Labelled", "Physical"]
        rows = [[*row, *_screen_audit(audits.get(int(row[0])))] for row in rows]
        caption += (
            " Drawn: refused frames that were drawn at random for labelling. Physical: frames of "
            "these whose labelled forces are all below screen.max_force; only they are used for "
            "training."
        )
    return Table(caption, header, rows if reasons else [])


def _screen_audit(audit: ScreenAudit | None) -> list[str]:
    counts = (audit.drawn, audit.labelled, audit.physical) if audit else (0, 0, 0)
    return [NONE if count is None else str(count) for count in counts]


def runs(data: ReportData) -> Table:
    """Runs of molecular dynamics that did not reach their end, by reason."""
    rows = [
        [
            str(record.n),
            listed(record.broken_off or {}) or NONE,
            str(record.runs or NONE),
            str(record.exploration_failures),
        ]
        for record in data.records
        if record.exploration_failures
    ]
    caption = (
        "Runs of molecular dynamics that broke off before their end. Their frames up to that point "
        "were judged."
    )
    return Table(caption, ["Iteration", "Reasons", "Runs", "Broken off"], rows, row_headers=2)


def pool(data: ReportData) -> Table:
    """True errors on the frames of a pool, by iteration; empty without a pool."""
    rows = []
    for record in data.records:
        if (used := record.pool) is None:
            continue
        cells = [_shown(used.rmse.get(q.key), q.scale) for q in QUANTITIES]
        cells += [NONE if n is None else str(n) for n in (used.unflagged, used.missed)]
        counts = [used.frames - used.left, used.left, record.explored]
        rows.append([str(record.n), *map(str, counts), *cells])
    caption = (
        "The pool before each selection. Its labels are known, so the errors of frames that no "
        "committee was trained on are known too: root mean square error of the committee mean on "
        "all judged frames, and how many of the frames below all thresholds have an error beyond "
        "the tolerance. No decision uses these errors."
    )
    if not any(record.pool and record.pool.rmse for record in data.records):
        caption = "The pool before each selection. The labels of its frames are not known."
    header = ["Iteration", "Used", "Left", "Judged", *(f"{q.title} ({q.unit})" for q in QUANTITIES)]
    return Table(caption, [*header, "Not flagged", "Wrong of them"], rows)


def flags(data: ReportData) -> Table:
    """Flagged frames by cause in each iteration, and the thresholds of novelty."""
    rows = []
    for record in data.records:
        by = record.flagged_by
        if by is None:  # an earlier version did not store causes
            continue
        cells = [record.flagged, *(by.get(key) for key in BY_KEY)]
        shown = [NONE if cell is None else str(cell) for cell in cells]
        near = NONE if record.near_duplicates is None else str(record.near_duplicates)
        shown += [_novel_frames(by), near]
        rows.append([str(record.n), _novelty(record.novelty), *shown])
    caption = (
        "Flagged frames by cause; a frame with several causes counts for each. A frame is novel "
        "if its descriptor distance to the nearest training frame exceeds “Novel beyond”, or if "
        "one of its atoms is farther than that from the training atoms of its element. These "
        "limits may depend on the number of periodic directions: 0D for clusters, 3D for crystals. "
        "Near-duplicates of labelled or of other explored frames are not selected."
    )
    header = ["Iteration", "Novel beyond", "Flagged", *(q.title for q in QUANTITIES)]
    return Table(caption, [*header, "Novelty", "Near-duplicates"], rows, row_headers=2)


def errors(data: ReportData) -> Table:
    """RMSE of the members by iteration and split, and of the committee on the final test frames."""
    rows = []
    for record in data.records:
        for name in SPLITS:
            if record.rmse.get(name):
                cells = [_rmse(record.error(name, q.key), q.scale) for q in QUANTITIES]
                rows.append([str(record.n), name, *cells])
        common = record.common_test or {}
        if common:
            cells = [_shown(common.get(q.key), q.scale) for q in QUANTITIES]
            rows.append([str(record.n), "final test frames", *cells])
    return Table(
        "Root mean square errors: mean ± standard deviation over the members of the committee. "
        "“Final test frames”: error of the committee mean on the test frames of the final dataset, "
        "which are the same for every iteration.",
        ["Iteration", "Split", *(f"{q.title} ({q.unit})" for q in QUANTITIES)],
        rows,
        row_headers=2,
    )


def absolute(data: ReportData) -> Table:
    """Mean and 95th percentile of the absolute errors of the committee, as ``errors``."""
    rows = []
    for record in data.records:
        judged = {name: (record.absolute or {}).get(name) for name in SPLITS}
        for name, each in (judged | {"final test frames": record.common_absolute}).items():
            if each:
                cells = [_absolute(each.get(q.key), q.scale) for q in QUANTITIES]
                rows.append([str(record.n), name, *cells])
    return Table(
        "Absolute errors of the committee mean: mean, and in brackets the value that 95 % of the "
        "errors stay below. A few bad frames dominate root mean squares; they hardly change these.",
        ["Iteration", "Split", *(f"{q.title} ({q.unit})" for q in QUANTITIES)],
        rows,
        row_headers=2,
    )


def calibrations(data: ReportData) -> Table:
    """Every calibration with its threshold and verdict."""
    rows = []
    for n, key, calibration in _calibrations(data):
        quantity = BY_KEY[key]
        rows.append(
            [
                str(n),
                quantity.title,
                calibration.method,
                _shown(calibration.slope),
                _interval(calibration.interval),
                f"{_shown(calibration.threshold, quantity.scale)} {quantity.unit}",
                str(calibration.pairs),
                _rate(calibration.spearman),
                _with_interval(calibration.tpr, calibration.tpr_interval),
                _with_interval(calibration.ppv, calibration.ppv_interval),
                calibration.verdict,
                _BASES[calibration.basis] if calibration.basis or not calibration.fitted else "fit",
            ]
        )
    header = ["Iteration", "Property", "Method", "Slope", "95 % interval", "Threshold τ", "Pairs"]
    header += ["ρ", "TPR", "PPV", "Verdict", "From"]
    caption = (
        "Calibrations. Slope: error per unit of disagreement, with its bootstrap interval. "
        "Threshold τ: a frame with a larger disagreement is flagged. From: a fit, or the largest "
        "error per disagreement where the pairs do not support a fit. Pairs: frames outside the "
        "training set for which disagreement and error are known. ρ: rank correlation of the two. "
        "TPR and PPV: cross-validated on these pairs, with their 95 % intervals in brackets; on "
        "frames of other kinds they are lower, see the prospective test."
    )
    return Table(caption, header, rows, row_headers=3)


def bars(data: ReportData) -> Table:
    """The error bars of every calibration, and the frames behind them."""
    rows = []
    for n, key, calibration in _calibrations(data):
        if not calibration.bars_from:
            continue
        start = [str(n), BY_KEY[key].title]
        frames = counted(calibration.bars_frames, f"{calibration.bars_from} frame")
        widths = [_shown(calibration.sigma), _shown(calibration.bar_90)]
        rows.append([*start, "frame", *widths, frames])
        if calibration.atom_sigma is not None:
            widths = [_shown(calibration.atom_sigma), _shown(calibration.atom_bar_90)]
            atoms = f"{counted(calibration.atoms or 0, 'atom')} of them"
            rows.append([*start, "single atom", *widths, atoms])
    caption = (
        "Error bars, as multiples of the disagreement. 68 % (sigma) and 90 % of the errors of "
        "frames like those in the last column are smaller. Audit frames were drawn at random from "
        "what was explored; validation frames are like the training frames, and on other frames "
        "errors are often larger than their bars."
    )
    header = ["Iteration", "Property", "Of a", "68 %", "90 %", "From"]
    return Table(caption, header, rows, row_headers=3)


def prospective(data: ReportData) -> Table:
    """Success of the thresholds on frames that were judged first and labelled afterwards."""
    rows = []
    for record in data.records:
        judged = {key: (record.prospective or {}).get(key) for key in BY_KEY}
        named = [("any flag", record.flags)]
        named += [(BY_KEY[key].title, batch) for key, batch in judged.items()]
        for title, batch in named:
            if not batch:
                continue
            start = [str(record.n), title]
            rows.append([*start, "whole batch", *_scored(batch), NONE, str(batch.pairs)])
            if audit := batch.audit:
                missed = _with_interval(audit.miss_rate, audit.miss_rate_interval)
                rows.append([*start, "audit alone", *_scored(audit), missed, str(audit.pairs)])
    caption = (
        "Prospective test: frames whose disagreement was judged before they were labelled. Most "
        "frames of the whole batch were selected because they were flagged, which raises its TPR. "
        "The audit was drawn at random from all valid frames, so its shares are unbiased. A frame "
        "is wrong if its error exceeds the tolerance; in the rows “any flag” of any property, and "
        "flagged for any reason, novelty included. The other rows are about the threshold of one "
        "property. TPR: share of the wrong frames that were flagged. PPV: share of the flagged "
        "frames that were wrong. 68 %, 90 %: share of the errors within the error bar. Atoms: the "
        "same for the force on single atoms and its 68 % bar. Missed: share of the frames that "
        "were wrong and not flagged. 95 % intervals are in brackets."
    )
    header = [
        *("Iteration", "Flag", "Sample", "TPR", "PPV", "68 %", "90 %", "Atoms", "Missed", "Frames")
    ]
    return Table(caption, header, rows, row_headers=3)


def timings(data: ReportData) -> Table:
    """Wall time of each stage."""
    by_iteration = [(record.n, record.seconds or {}) for record in data.records]
    order = ("augment", "label", "train", "explore", "evaluate", "judge")
    present = {stage for _, seconds in by_iteration for stage in seconds}
    stages = [s for s in order if s in present] + sorted(present - set(order))
    rows = [
        [str(n), *(_duration(seconds.get(stage)) for stage in stages), _total(seconds)]
        for n, seconds in by_iteration
        if seconds
    ]
    return Table(
        "Time spent in each stage, with the time in queues.", ["Iteration", *stages, "all"], rows
    )


def composition(data: ReportData) -> Table:
    """Labelled frames of the final dataset by strategy and split."""
    counted = composition_table(data)
    rows = [
        [name, *(str(row.get(s, 0)) for s in (*SPLITS, "none")), str(sum(row.values()))]
        for name, row in counted.items()
    ]
    caption = "Labelled frames of the final dataset by strategy and split."
    return Table(caption, ["Strategy", *SPLITS, "no split", "all"], rows)


def strategies(data: ReportData) -> Table:
    """Force errors on test frames by strategy."""
    last = data.last_predictions
    errors = data.strategies(last, "test") if last else {}
    forces = BY_KEY["forces"]
    rows = [[name, number(e * forces.scale), str(n)] for name, (e, n) in errors.items()]
    caption = f"Force error ({forces.unit}) of the committee mean on test frames, by strategy."
    return Table(caption, ["Strategy", "RMSE", "Frames"], rows)


def _calibrations(data: ReportData) -> list[tuple[int, str, Calibration]]:
    """Calibrations of the records, or those stored beside the arrays of an iteration."""
    kept = {iteration.n: iteration.calibration for iteration in data.iterations}
    rows = []
    for record in data.records:
        for key in BY_KEY:
            calibration = record.calibration.get(key) or kept.get(record.n, {}).get(key)
            if calibration:
                rows.append((record.n, key, calibration))
    return rows


def _absolute(error: Absolute | None, scale: float) -> str:
    return NONE if error is None else f"{number(error.mae * scale)} ({number(error.p95 * scale)})"


def _rmse(error: MemberError | None, scale: float) -> str:
    return NONE if error is None else plus_minus(error.mean * scale, error.std * scale)


def _shown(value: float | None, scale: float = 1.0) -> str:
    return NONE if value is None else number(value * scale)


def _interval(ends: Interval | None) -> str:
    return NONE if not ends else f"{number(ends[0])}–{number(ends[1])}"


def _with_interval(rate: float | None, ends: Interval | None) -> str:
    shown = _rate(rate)
    return f"{shown} [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else shown


def _scored(rates: Rates) -> list[str]:
    """TPR, PPV, coverage of both error bars of frames and of that of atoms."""
    return [
        _with_interval(rates.tpr, rates.tpr_interval),
        _with_interval(rates.ppv, rates.ppv_interval),
        _with_interval(rates.within_sigma, rates.within_sigma_interval),
        _with_interval(rates.within_90, rates.within_90_interval),
        _with_interval(rates.atom_coverage, rates.atom_coverage_interval),
    ]


def _novelty(judged: Novelty | None) -> str:
    """The thresholds of novelty, or the reason why there are no thresholds."""
    if judged is None:
        return NONE
    parts = [_limits(judged.thresholds), _limits(judged.atoms)]
    if judged.atoms:
        names = ("frames", "atoms")
        parts = [f"{name} {part}" for name, part in zip(names, parts, strict=True) if part]
    return "; ".join(filter(None, parts)) or judged.note or "switched off"


def _limits(thresholds: Mapping[str, float]) -> str:
    groups = grouped(thresholds)
    if len(groups) == 1:
        return number(groups[0][0])
    return "; ".join(f"{number(value)} ({', '.join(names)})" for value, names in groups)


def _novel_frames(by: Mapping[str, int]) -> str:
    """The number of novel frames, and of those that each of two measures flags."""
    total = by.get(NOVELTY)
    if total is None:
        return NONE
    shares = [f"{name} {by[key]}" for name, key in NOVELTY_OF.items() if key in by]
    return f"{total} ({', '.join(shares)})" if total and shares else str(total)


def _rate(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _duration(seconds: float | None) -> str:
    return NONE if seconds is None else duration(seconds)


def _total(seconds: Mapping[str, float]) -> str:
    return duration(sum(seconds.values()))
