"""One self-contained HTML page of a campaign: ``html`` and ``write``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trainspot
from trainspot.report.campaign import pictures
from trainspot.report.findings import tables
from trainspot.report.findings.verdict import summarise
from trainspot.report.map import pictures as maps
from trainspot.report.pages.skeleton import Section, filled, present, render, save
from trainspot.report.quantities import BY_KEY, number

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainspot.report.findings.data import ReportData


def html(data: ReportData, progress: Callable[[int, int], None] | None = None) -> str:
    """The page as text: no scripts, no request to anywhere, the same for the same data.

    Args:
        data: The campaign.
        progress: Called with the frames done and all frames of the part that takes longest.
    """
    return render(
        "trainspot.report.campaign",
        "report.html.j2",
        name=data.name,
        state=_state(data),
        facts=_facts(data),
        tiles=_tiles(data),
        notes=data.notes,
        summary=summarise(data),
        sections=sections(data, progress),
        version=trainspot.__version__,
    )


def write(
    data: ReportData, target: Path | str, progress: Callable[[int, int], None] | None = None
) -> None:
    """Write the page, atomically: the file appears whole or not at all. Arguments as ``html``."""
    save(html(data, progress), target)


def sections(data: ReportData, progress: Callable[[int, int], None] | None = None) -> list[Section]:
    """The parts of the page in reading order."""
    paired = [it for it in reversed(data.iterations) if it.pairs is not None and len(it.pairs)]
    calibrated = [pictures.calibration(data, it, again=n > 0) for n, it in enumerate(paired)]
    explored = maps.explored(data, progress)
    return [
        Section(
            "accuracy",
            "How accurate is it?",
            "Errors on frames the potential was trained on say little; those on test frames, which "
            "no training ever saw, count.",
            "No committee has been compared with reference labels yet.",
            present(pictures.rmse(data), pictures.parity(data)),
            filled(tables.errors(data), tables.motifs(data)),
        ),
        Section(
            "trust",
            "Does it know when it is wrong?",
            "Where the members of the committee disagree, the potential is probably wrong. "
            "Calibration measures how far that holds, on frames that were not trained on, and "
            "turns the tolerance ε on the error into a threshold τ on the disagreement.",
            "Disagreement has not been calibrated yet.",
            [*calibrated, *pictures.trust(data)],
            filled(tables.calibrations(data), tables.prospective(data)),
        ),
        Section(
            "iterations",
            "What happened in each iteration?",
            "Each iteration labels frames, trains a committee, explores with molecular dynamics, "
            "and picks what to label next: frames that are flagged, and a random audit.",
            "No iteration has ended yet.",
            present(pictures.counts(data)),
            filled(
                tables.iterations(data),
                tables.flags(data),
                tables.refusals(data),
                tables.runs(data),
            ),
        ),
        Section(
            "explored",
            "What was explored?",
            "Each point is a frame, near those that are like it. Iteration 0 is the initial set; "
            "later iterations add what exploration met.",
            explored.missing,
            explored.pictures,
            explored.tables,
            remarks=explored.remarks,
        ),
        Section(
            "data",
            "What was it trained on?",
            "Every frame remembers the strategy that made it; “md” are frames from exploration.",
            "Nothing is labelled yet.",
            present(pictures.composition(data)),
            filled(tables.composition(data)),
        ),
        Section(
            "time",
            "What did it cost?",
            "",
            "No times were recorded.",
            [],
            filled(tables.timings(data)),
        ),
    ]


def _state(data: ReportData) -> str:
    state = str(data.status.get("state") or "unknown")
    ending = data.status.get("exit") or {}
    label = ending.get("label")
    return f"{state}: {label} (exit status {ending.get('status')})" if label else state


def _facts(data: ReportData) -> list[tuple[str, str]]:
    """What a reader needs to find the campaign and to judge its labels."""
    references = [record.get("reference") or {} for record in data.records]
    engines = sorted({" on ".join(str(v) for v in r.values() if v) for r in references} - {""})
    tolerance = [BY_KEY[key].show_exact(value) for key, value in data.tolerance.items()]
    found = [
        ("State", _state(data)),
        ("Elements", ", ".join(data.dataset.species)),
        ("Reference", ", ".join(engines)),
        ("Level of theory", ", ".join(data.dataset.theories)),
        ("Tolerance", ", ".join(tolerance)),
        ("Identifier", str(data.status.get("id") or "")),
    ]
    return [(key, value) for key, value in found if value]


def _tiles(data: ReportData) -> list[tuple[str, str]]:
    """The few numbers that are asked for first."""
    found: list[tuple[str, Any]] = [
        ("labelled frames", int(data.dataset.is_labelled.sum())),
        ("iterations", len(data.records)),
    ]
    last = data.last_predictions
    if last is not None and last.predictions is not None:
        found.append(("committee members", len(last.predictions.members)))
    records = [r for r in data.records if ((r.get("rmse") or {}).get("test") or {}).get("forces")]
    if records:
        forces = BY_KEY["forces"]
        mean = records[-1]["rmse"]["test"]["forces"]["mean"]
        found.append((f"{forces.unit} force error on test", number(mean * forces.scale)))
    return [(label, str(value)) for label, value in found]
