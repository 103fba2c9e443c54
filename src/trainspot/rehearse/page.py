"""The page of a rehearsal, and its text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import trainspot
from trainspot.rehearse import figures
from trainspot.rehearse.arms import ARMS, OURS, PAPER
from trainspot.rehearse.outcome import SPENT
from trainspot.rehearse.statistics import median
from trainspot.report.pages.skeleton import Picture, Section, render
from trainspot.report.pages.style import data_uri
from trainspot.report.pages.table import NONE, Table
from trainspot.report.quantities import BY_KEY, number

if TYPE_CHECKING:
    from trainspot.rehearse.outcome import Outcome
    from trainspot.rehearse.statistics import Ratio

_FORCES = BY_KEY["forces"]


def html(outcome: Outcome) -> str:
    """The page as text: no scripts, no request to anywhere, the same for the same outcome."""
    return render(
        "trainspot.rehearse",
        "rehearsal.html.j2",
        name=outcome.name,
        facts=_facts(outcome),
        headline=headline(outcome),
        sentences=sentences(outcome),
        seeds=len(outcome.seeds) if _has_intervals(outcome) else 0,
        arms=[(arm, ARMS.get(arm, "")) for arm in outcome.arms],
        limits=outcome.limits,
        notes=outcome.notes,
        sections=_sections(outcome),
        version=trainspot.__version__,
    )


def headline(outcome: Outcome) -> str:
    """The first line of the page."""
    if not outcome.learned:
        return "No campaign lowered the error on the common test frames"
    ratio = outcome.ratio(OURS, PAPER, "labels", outcome.targets()[-1])
    if ratio.value is None:
        return "This rehearsal cannot tell which campaign needs fewer labels"
    if ratio.interval is None or ratio.interval[0] <= 1.0 <= ratio.interval[1]:
        return "No clear difference in labels between this campaign and the protocol of the paper"
    less = "fewer" if ratio.value < 1.0 else "more"
    return f"This campaign needs {less} labels than the protocol of the paper, in this rehearsal"


def sentences(outcome: Outcome) -> list[str]:
    """The comparison with each baseline in words, and a remark on random choice."""
    said = _unfitted(outcome)
    if not outcome.learned:
        return [*said, "Try more iterations, larger batches, or another reference (--oracle)."]
    target = outcome.targets()[-1]
    for base, ratios in _comparisons(outcome).items():
        parts = [f"{_compared(ratios[what])} the {name}" for what, name in SPENT.items()]
        said.append(f"To {_FORCES.show(target)} it needs {' and '.join(parts)} of “{base}”.")
    return said


def _comparisons(outcome: Outcome) -> dict[str, dict[str, Ratio]]:
    """Ratios of what this campaign and each baseline spent to the last target, by baseline."""
    if OURS not in outcome.arms or not outcome.learned:
        return {}
    target = outcome.targets()[-1]
    return {
        base: {what: outcome.ratio(OURS, base, what, target) for what in SPENT}
        for base in outcome.arms
        if base != OURS
    }


def _has_intervals(outcome: Outcome) -> bool:
    """Whether a sentence of the comparison gives an interval."""
    ratios = (one for spent in _comparisons(outcome).values() for one in spent.values())
    return any(ratio.value is not None and ratio.interval is not None for ratio in ratios)


def _unfitted(outcome: Outcome) -> list[str]:
    points = [point for track in outcome.of(OURS) for point in track.points]
    random = sum(not point.fitted for point in points)
    if not random:
        return []
    return [
        (
            f"In {random} of its {len(points)} iterations no threshold could be fitted, so frames "
            "were selected at random. There were too few validation frames, or the disagreement "
            "did not follow the error."
        )
    ]


def _compared(ratio: Ratio) -> str:
    if ratio.value is None:
        return "an unknown share (not every campaign reached this error) of"
    text = f"{number(ratio.value)} times"
    if ratio.interval:
        low, high = (number(end) for end in ratio.interval)
        text += f" (between {low} and {high})"
    return text


def _facts(outcome: Outcome) -> list[tuple[str, str]]:
    test = ", ".join(f"{n} {origin}" for origin, n in outcome.test.items())
    return [
        ("Labels" if outcome.looks_up else "Oracle", outcome.oracle),
        ("Trainer", outcome.trainer),
        ("Seeds", str(len(outcome.seeds))),
        ("Common test frames", test),
        ("Cost of a label", outcome.cost.words()),
    ]


def _sections(outcome: Outcome) -> list[Section]:
    return [
        Section(
            "curves",
            "What does the error cost?",
            "All arms start from the same frames of each seed, and are tested on the same frames, "
            "which no campaign chose: "
            + (
                "frames drawn at random from the pool."
                if outcome.of_pool
                else "augmentation from another seed, and molecular dynamics driven by the oracle."
            ),
            "",
            [
                Picture(
                    data_uri(figures.curves(outcome)),
                    "Force error of the committee mean on the common test frames against labels "
                    "and against estimated core-hours. Thin: one seed. Thick: the median over "
                    "seeds, with the whole spread shaded, as far as all seeds go. Dotted: the "
                    "errors that are compared below.",
                    "Learning curves of "
                    + "; ".join(_curve_words(outcome, arm) for arm in outcome.arms)
                    + ".",
                )
            ],
            [endings(outcome)],
        ),
        Section(
            "needs",
            "How much does each need?",
            _targets_in_words(outcome),
            "",
            [
                Picture(
                    data_uri(figures.needs(outcome)),
                    "What each seed spent to reach an error; bars are medians. Seeds that did not "
                    "get there are not shown and count as infinite in the median.",
                    "Dots of the labels and core-hours in the table below.",
                )
            ],
            [comparison(outcome)],
        ),
    ]


def _targets_in_words(outcome: Outcome) -> str:
    """The errors of ``Outcome.targets`` in a sentence."""
    worst = "the worst of the arms' best errors (medians over seeds)"
    if not outcome.learned:
        return f"One error is compared: {worst}."
    mean = "the geometric mean of this error and the error at the start"
    return f"Two errors are compared: {worst}, and {mean}."


def _curve_words(outcome: Outcome, arm: str) -> str:
    ends = [_FORCES.show(median([t.points[k].forces for t in outcome.of(arm)])) for k in (0, -1)]
    return f"{arm}: {ends[0]} at the start, {ends[1]} at the end"


def endings(outcome: Outcome) -> Table:
    """Final errors and costs of each arm: median, smallest and largest over seeds."""
    rows = []
    for arm in outcome.arms:
        tracks = outcome.of(arm)
        states = sorted({track.state for track in tracks})
        last = [track.points[-1] for track in tracks]
        rows.append(
            [
                arm,
                _spread([point.forces * _FORCES.scale for point in last]),
                _spread([point.forces_md * _FORCES.scale for point in last if point.forces_md]),
                _count([track.labels for track in tracks]),
                _spread([track.core_hours for track in tracks]),
                ", ".join(f"{sum(t.state == s for t in tracks)} {s}" for s in states),
            ]
        )
    return Table(
        "Where each arm ended: median over seeds, smallest to largest in brackets. Errors in "
        f"{_FORCES.unit}; labels and core-hours with those of a final audit.",
        ["Arm", "Force error", "of MD frames", "Labels", "Core-hours", "Ended (seeds)"],
        rows,
    )


def comparison(outcome: Outcome) -> Table:
    """Costs of each arm for each target, and the ratio of the campaign to each arm."""
    rows = []
    for target in outcome.targets():
        for arm in outcome.arms:
            needed = [_spread(outcome.needed(arm, what, target)) for what in SPENT]
            ratios = [
                NONE if arm == OURS or OURS not in outcome.arms
                else _ratio(outcome.ratio(OURS, arm, what, target))
                for what in SPENT
            ]  # fmt: skip
            rows.append([number(target * _FORCES.scale), arm, *needed, *ratios])
    return Table(
        "Labels and core-hours to reach a force error: median over seeds, smallest to largest in "
        "brackets; what the campaign needs of each baseline, with its 95 % bootstrap interval "
        "over seeds.",
        [f"Error ({_FORCES.unit})", "Arm", "Labels", "Core-hours", "Ratio of labels",
         "Ratio of core-hours"],
        rows,
        row_headers=2,
    )  # fmt: skip


def _spread(values: list[float]) -> str:
    if not values:
        return NONE
    return f"{_needed(median(values))} ({_needed(min(values))}-{_needed(max(values))})"


def _needed(value: float) -> str:
    return number(value) if np.isfinite(value) else "never"


def _count(values: list[int]) -> str:
    return f"{median(values):g} ({min(values)}-{max(values)})"


def _ratio(ratio: Ratio) -> str:
    if ratio.value is None:
        return NONE
    if not ratio.interval:
        return number(ratio.value)
    return f"{number(ratio.value)} ({number(ratio.interval[0])}-{number(ratio.interval[1])})"


def text(outcome: Outcome) -> str:
    """The outcome for a terminal."""
    lines = [headline(outcome), *sentences(outcome), ""]
    for table in (endings(outcome), comparison(outcome)):
        rows = [table.header, *table.rows]
        widths = [max(len(row[k]) for row in rows) for k in range(len(table.header))]
        lines += ["  ".join(f"{c:{w}}" for c, w in zip(row, widths, strict=True)) for row in rows]
        lines.append("")
    lines += [f"Cost of a label: {outcome.cost.words()}.", *outcome.limits[:2]]
    return "\n".join(line.rstrip() for line in lines)
