"""The page of a campaign in one self-contained HTML file: ``html``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trainspot
from trainspot.campaign.exit import exit_of
from trainspot.report.campaign import pictures
from trainspot.report.findings import tables
from trainspot.report.findings.verdict import summarise
from trainspot.report.pages.skeleton import Section, filled, present, render
from trainspot.report.quantities import BY_KEY, number

if TYPE_CHECKING:
    from trainspot.report.findings.data import ReportData


def html(data: ReportData, explored: Section) -> str:
    """The page as text: no scripts, no request to anywhere, the same for the same data.

    Args:
        data: The campaign.
        explored: The section on what was explored.
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
        sections=sections(data, explored),
        version=trainspot.__version__,
    )


def sections(data: ReportData, explored: Section) -> list[Section]:
    """The parts of the page in reading order."""
    return [
        _accuracy(data),
        _trust(data),
        _iterations(data),
        explored,
        Section(
            "data",
            "What was it trained on?",
            "Every frame keeps the name of the strategy that made it. "
            + (
                "“pool” stands for frames whose file names no strategy."
                if data.draws_from_pool
                else "Frames of “md” come from exploration."
            ),
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


def _accuracy(data: ReportData) -> Section:
    return Section(
        "accuracy",
        "How accurate is it?",
        "The errors on test frames count. No training used these frames; errors on training "
        "frames are smaller and say little.",
        "No committee has been compared with reference labels yet.",
        present(pictures.rmse(data), pictures.parity(data)),
        filled(
            tables.errors(data),
            tables.absolute(data),
            tables.pool(data),
            tables.strategies(data),
        ),
    )


def _trust(data: ReportData) -> Section:
    paired = [it for it in reversed(data.iterations) if it.pairs is not None and len(it.pairs)]
    calibrated = [pictures.calibration(data, it, again=n > 0) for n, it in enumerate(paired)]
    return Section(
        "trust",
        "Does it know when it is wrong?",
        "A potential is probably wrong where the members of the committee disagree. The "
        "calibration tests this on frames that were not in the training set. It also turns the "
        "tolerance ε, the error you accept, into a threshold τ on the disagreement.",
        "The disagreement has not been calibrated yet.",
        [*calibrated, *pictures.trust(data)],
        filled(tables.calibrations(data), tables.bars(data), tables.prospective(data)),
    )


def _iterations(data: ReportData) -> Section:
    explores = (
        "draws frames from the pool"
        if data.draws_from_pool
        else ("explores with molecular dynamics")
    )
    return Section(
        "iterations",
        "What happened in each iteration?",
        f"Each iteration labels frames, trains a committee, {explores} and selects the frames to "
        "label next: flagged frames, and an audit drawn at random.",
        "No iteration has ended yet.",
        present(pictures.counts(data)),
        filled(
            tables.iterations(data),
            tables.flags(data),
            tables.refusals(data),
            tables.runs(data),
        ),
    )


def _state(data: ReportData) -> str:
    state = str(data.status.get("state") or "unknown")
    ended = exit_of(data.status)
    if ended is None or not ended.label:
        return state
    return f"{state}: {ended.label} (exit status {ended.status})"


def _facts(data: ReportData) -> list[tuple[str, str]]:
    """Facts that identify the campaign and its labels."""
    references = [record.reference for record in data.records if record.reference]
    parts = {tuple(filter(None, (reference.engine, reference.code))) for reference in references}
    engines = sorted({" on ".join(part) for part in parts} - {""})
    tolerance = [BY_KEY[key].show_exact(value) for key, value in data.tolerance.items()]
    facts = [
        ("State", _state(data)),
        ("Elements", ", ".join(data.dataset.species)),
        ("Reference", ", ".join(engines)),
        ("Level of theory", ", ".join(data.dataset.theories)),
        ("Tolerance", ", ".join(tolerance)),
        ("Identifier", str(data.status.get("id") or "")),
    ]
    return [(key, value) for key, value in facts if value]


def _tiles(data: ReportData) -> list[tuple[str, str]]:
    """The main numbers."""
    tiles: list[tuple[str, Any]] = [
        ("labelled frames", int(data.dataset.is_labelled.sum())),
        ("iterations", len(data.records)),
    ]
    last = data.last_predictions
    if last is not None and last.predictions is not None:
        tiles.append(("committee members", len(last.predictions.members)))
    errors = [rmse for r in data.records if (rmse := r.error("test", "forces"))]
    if errors:
        forces = BY_KEY["forces"]
        error = number(errors[-1].mean * forces.scale)
        tiles.append((f"{forces.unit} force error on test", error))
    return [(label, str(value)) for label, value in tiles]
