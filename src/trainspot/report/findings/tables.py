"""The tables of a report, as text ready to print."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainspot.common.text import listed
from trainspot.judge.judgement import NOVELTY
from trainspot.judge.novelty import Novelty, grouped
from trainspot.report.findings.counts import composition_table, count_of
from trainspot.report.pages.style import SETS
from trainspot.report.pages.table import NONE, Table
from trainspot.report.quantities import BY_KEY, QUANTITIES, duration, number, plus_minus

if TYPE_CHECKING:
    from trainspot.report.findings.data import ReportData


def iterations(data: ReportData) -> Table:
    """What happened to how many frames in each iteration."""
    rows = []
    for record in data.records:
        sets = record.get("sets") or {}
        cells = [record.get(key) for key in ("labelled", "labelled_total", "label_failures")]
        cells += [sets.get(name) for name in SETS]
        cells += [count_of(record, key) for key in ("explored", "refused", "duplicates")]
        cells += [record.get(key) for key in ("flagged", "selected", "audit")]
        rows.append([str(record["n"]), *(NONE if cell is None else str(cell) for cell in cells)])
    header = ["Iteration", "New labels", "All labels", "Failed", "Train", "Validation", "Test"]
    header += ["Explored", "Refused", "Duplicates", "Flagged", "Selected", "Audit"]
    return Table("Frames in each iteration.", header, rows)


def refusals(data: ReportData) -> Table:
    """Explored frames refused by the screen, by reason."""
    found = [(r["n"], r["refused"]) for r in data.records if isinstance(r.get("refused"), dict)]
    reasons = sorted({reason for _, counted in found for reason in counted})
    rows = [[str(n), *(str(counted.get(one, 0)) for one in reasons)] for n, counted in found]
    caption = "Explored frames refused by the screen, by reason."
    return Table(caption, ["Iteration", *reasons], rows if reasons else [])


def runs(data: ReportData) -> Table:
    """Runs of molecular dynamics that did not reach their end, by reason."""
    rows = [
        [
            str(record["n"]),
            listed(record.get("broken_off") or {}) or NONE,
            str(record.get("runs") or NONE),
            str(record["exploration_failures"]),
        ]
        for record in data.records
        if record.get("exploration_failures")
    ]
    caption = (
        "Runs of molecular dynamics that broke off before their end; what they had explored until "
        "then was judged."
    )
    return Table(caption, ["Iteration", "Reasons", "Runs", "Broken off"], rows, row_headers=2)


def flags(data: ReportData) -> Table:
    """What flagged frames in each iteration, and beyond which distance a frame was novel."""
    rows = []
    for record in data.records:
        by = record.get("flagged_by")
        if by is None:  # judged before causes were recorded
            continue
        cells = [record.get("flagged"), *(by.get(key) for key in (*BY_KEY, NOVELTY))]
        cells.append(record.get("near_duplicates"))
        shown = [NONE if cell is None else str(cell) for cell in cells]
        rows.append([str(record["n"]), _novelty(record.get("novelty")), *shown])
    caption = (
        "Flagged frames by cause; a frame with several counts for each. A frame is novel beyond "
        "this descriptor distance to the nearest training frame; where it depends on the number of "
        "periodic directions, clusters are 0D and crystals 3D. Near-duplicates of known or of "
        "other explored frames were left out of what is selected."
    )
    header = ["Iteration", "Novel beyond", "Flagged", *(q.title for q in QUANTITIES)]
    return Table(caption, [*header, "Novelty", "Near-duplicates"], rows, row_headers=2)


def errors(data: ReportData) -> Table:
    """RMSE of the members per iteration and set, and of the committee on the final test frames."""
    rows = []
    for record in data.records:
        for name in SETS:
            found = record.get("rmse", {}).get(name) or {}
            if any(found.values()):
                cells = [_rmse(found.get(q.key) or {}, q.scale) for q in QUANTITIES]
                rows.append([str(record["n"]), name, *cells])
        common = record.get("common_test") or {}
        if common:
            cells = [_shown(common.get(q.key), q.scale) for q in QUANTITIES]
            rows.append([str(record["n"]), "final test frames", *cells])
    return Table(
        "Root mean square errors: mean ± standard deviation over the members of the committee. "
        "“Final test frames” are the same frames for every iteration.",
        ["Iteration", "Set", *(f"{q.title} ({q.unit})" for q in QUANTITIES)],
        rows,
        row_headers=2,
    )


def calibrations(data: ReportData) -> Table:
    """Every calibration with its threshold and verdict."""
    rows = []
    for n, key, made in _calibrations(data):
        quantity = BY_KEY[key]
        rows.append(
            [
                str(n),
                quantity.title,
                str(made.get("method") or NONE),
                _shown(made.get("slope")),
                _interval(made.get("interval")),
                f"{_shown(made.get('threshold'), quantity.scale)} {quantity.unit}",
                str(made.get("pairs", NONE)),
                _rate(made.get("spearman")),
                *(_with_interval(made, name) for name in ("tpr", "ppv")),
                str(made.get("verdict") or NONE),
                "yes" if made.get("fitted") else "no",
            ]
        )
    header = ["Iteration", "Property", "Method", "Slope", "95 % interval", "Threshold τ", "Pairs"]
    header += ["ρ", "TPR", "PPV", "Verdict", "Fitted"]
    caption = (
        "Calibrations. Slope: error per unit of disagreement, with its bootstrap interval. "
        "Threshold τ: the disagreement above which a frame is flagged (the tolerance itself where "
        "nothing could be fitted). Pairs of disagreement and error, of frames that were in no "
        "training set. ρ: rank correlation. TPR and PPV: on the same pairs, in brackets their "
        "95 % intervals."
    )
    return Table(caption, header, rows, row_headers=3)


def prospective(data: ReportData) -> Table:
    """Whether the thresholds held on frames that were judged first and labelled afterwards."""
    rows = []
    for record in data.records:
        for key, quantity in BY_KEY.items():
            found = (record.get("prospective") or {}).get(key)
            if not found:
                continue
            start = [str(record["n"]), quantity.title]
            atoms = _with_interval(found, "atom_coverage")
            rows.append([*start, "whole batch", *_scored(found), atoms, NONE, _count(found)])
            if audit := found.get("audit"):
                rest = [_with_interval(audit, name) for name in ("atom_coverage", "miss_rate")]
                rows.append([*start, "audit alone", *_scored(audit), *rest, _count(audit)])
    caption = (
        "Prospective test: frames that were flagged by their disagreement, or not, before they "
        "were labelled. Most of the whole batch was chosen among flagged frames, which raises its "
        "TPR; the audit was drawn from all valid frames, so that its shares are unbiased. "
        "TPR: share of the bad frames that was flagged; PPV: share of the flagged that was bad; "
        "coverage: share of the errors below slope × disagreement; atoms: share of the forces on "
        "single atoms whose error is below its bar, of which 0.68 is meant; missed: share of the "
        "frames that were bad and not flagged. In brackets 95 % intervals."
    )
    header = [
        *("Iteration", "Property", "Sample", "TPR", "PPV", "Coverage", "Atoms", "Missed", "Frames")
    ]
    return Table(caption, header, rows, row_headers=3)


def timings(data: ReportData) -> Table:
    """Wall time of each stage."""
    found = [(record["n"], record.get("seconds") or {}) for record in data.records]
    order = ("augment", "label", "train", "explore", "evaluate", "judge")
    present = {stage for _, seconds in found for stage in seconds}
    stages = [s for s in order if s in present] + sorted(present - set(order))
    rows = [
        [str(n), *(_duration(seconds.get(stage)) for stage in stages), _total(seconds)]
        for n, seconds in found
        if seconds
    ]
    return Table(
        "Time spent in each stage, waiting included.", ["Iteration", *stages, "together"], rows
    )


def composition(data: ReportData) -> Table:
    """Labelled frames of the final dataset by origin and set."""
    counted = composition_table(data)
    rows = [
        [name, *(str(row.get(s, 0)) for s in (*SETS, "none")), str(sum(row.values()))]
        for name, row in counted.items()
    ]
    caption = "Labelled frames of the final dataset by origin and set."
    return Table(caption, ["Origin", *SETS, "no set", "together"], rows)


def motifs(data: ReportData) -> Table:
    """Force errors on test frames by origin."""
    last = data.last_predictions
    found = data.motifs(last, "test") if last else {}
    forces = BY_KEY["forces"]
    rows = [[name, number(e * forces.scale), str(n)] for name, (e, n) in found.items()]
    caption = f"Force error ({forces.unit}) of the committee mean on test frames, by origin."
    return Table(caption, ["Origin", "RMSE", "Frames"], rows)


def _calibrations(data: ReportData) -> list[tuple[int, str, dict[str, Any]]]:
    """Calibrations of the status, completed by what the iteration's own record knows more."""
    known = {it.n: {k: c.to_dict() for k, c in it.calibration.items()} for it in data.iterations}
    found = []
    for record in data.records:
        stated = record.get("calibration") or {}
        more = known.get(int(record["n"]), {})
        for key in BY_KEY:
            made = {**more.get(key, {}), **(stated.get(key) or {})}
            if made:
                found.append((int(record["n"]), key, made))
    return found


def _rmse(found: dict[str, float], scale: float) -> str:
    if "mean" not in found:
        return NONE
    return plus_minus(found["mean"] * scale, found.get("std", 0.0) * scale)


def _shown(value: float | None, scale: float = 1.0) -> str:
    return NONE if value is None else number(value * scale)


def _interval(ends: list[float] | None) -> str:
    return NONE if not ends else f"{number(ends[0])}–{number(ends[1])}"


def _with_interval(found: dict[str, Any], name: str) -> str:
    ends = found.get(f"{name}_interval")
    shown = _rate(found.get(name))
    return f"{shown} [{ends[0]:.2f}, {ends[1]:.2f}]" if ends else shown


def _scored(found: dict[str, Any]) -> list[str]:
    return [_with_interval(found, name) for name in ("tpr", "ppv", "coverage")]


def _count(found: dict[str, Any]) -> str:
    return str(found.get("pairs", NONE))


def _novelty(found: dict[str, Any] | None) -> str:
    """The thresholds of novelty, or why there were none."""
    if not found:
        return NONE
    judged = Novelty.from_dict(found)
    groups = grouped(judged.thresholds)
    if len(groups) == 1:
        return number(groups[0][0])
    shown = "; ".join(f"{number(value)} ({', '.join(names)})" for value, names in groups)
    return shown or judged.note or "switched off"


def _rate(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _duration(seconds: float | None) -> str:
    return NONE if seconds is None else duration(seconds)


def _total(seconds: dict[str, float]) -> str:
    return duration(sum(seconds.values()))
