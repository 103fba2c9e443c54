"""The README of the exported folder, for a committee or for a dataset alone."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

import trainspot
from trainspot.campaign.exit import exit_of
from trainspot.common.text import counted
from trainspot.data.failure import reason_of
from trainspot.report.findings import tables
from trainspot.report.findings.data import ReportData
from trainspot.report.findings.verdict import summarise
from trainspot.report.quantities import BY_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainspot.data.dataset import Dataset
    from trainspot.predictions.calibration import Calibration
    from trainspot.report.pages.table import Table


def card(
    data: ReportData,
    models: list[str],
    calibration: Mapping[str, Calibration],
    failures: Dataset | None = None,
    *,
    no_novelty: str = "",
) -> str:
    """The README of the folder in Markdown, for a committee or for a dataset alone.

    Args:
        data: The campaign.
        models: Names of the model files.
        calibration: Of each property.
        failures: Frames whose labelling failed.
        no_novelty: Why the folder cannot tell the novelty of a structure; empty if it can.
    """
    environment = Environment(
        loader=PackageLoader("trainspot.report.exported"),
        autoescape=False,  # noqa: S701  Markdown; names go through ``plain``
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    environment.filters["markdown"] = _markdown
    records = data.records
    references = [record.reference for record in records if record.reference]
    last = [record.stored() for record in records[-1:]]
    latest = ReportData({**data.status, "iterations": last}, data.dataset)
    bars = [
        (BY_KEY[key].title, _width(fit), _width_90(fit), _behind(fit), fit.verdict, fit.has_bars())
        for key, fit in calibration.items()
    ]
    template = "model_card.md.j2" if models else "dataset_card.md.j2"
    return environment.get_template(template).render(
        name=data.name,
        version=trainspot.__version__,
        models=models,
        species=data.dataset.species,
        theories=data.dataset.theories,
        engines=sorted({reference.engine for reference in references} - {""}),
        n_labelled=int(data.dataset.is_labelled.sum()),
        missing=_missing(data.dataset, failures),
        running=exit_of(data.status) is None and bool(data.status.get("state")),
        notes=data.notes,
        summary=summarise(data),
        errors=tables.errors(latest),
        absolute=tables.absolute(latest),
        composition=tables.composition(data),
        bars=bars,
        forces=calibration.get("forces"),
        covered=_atoms_covered(data),
        no_novelty=no_novelty,
    )


def _width(fit: Calibration) -> str:
    return f"{fit.sigma or fit.slope:.3g}" if fit.has_bars() else "1 (not fitted)"


def _width_90(fit: Calibration) -> str:
    return "–" if fit.bar_90 is None else f"{fit.bar_90:.3g}"


def _behind(fit: Calibration) -> str:
    """The frames behind the error bars of a property."""
    if fit.bars_from:
        return counted(fit.bars_frames, f"{fit.bars_from} frame")
    return counted(fit.pairs, "pair")


def _missing(dataset: Dataset, failures: Dataset | None) -> list[str]:
    """Frames of the campaign without labels, one sentence for each reason."""
    lines = []
    if waiting := int((~dataset.is_labelled).sum()):
        verb = "has" if waiting == 1 else "have"
        lines.append(f"{counted(waiting, 'frame')} of the dataset {verb} no labels so far.")
    reasons = Counter(reason_of(frame) for frame in failures or ())
    for reason, n in reasons.most_common():
        lines.append(f"{counted(n, 'frame')} could not be labelled and left out: {reason}")
    return lines


def _atoms_covered(data: ReportData) -> str:
    """Share of the errors of atoms within sigma in the latest test, or nothing."""
    for record in reversed(data.records):
        batch = (record.prospective or {}).get("forces")
        for rates, which in ((batch and batch.audit, "audit"), (batch, "labelled")):
            if rates and (share := rates.atom_coverage) is not None:
                ends = rates.atom_coverage_interval
                interval = f" ({ends[0]:.0%} to {ends[1]:.0%})" if ends else ""
                return (
                    f"Test of iteration {record.n}, with its own factor: {share:.0%}{interval} "
                    f"of {rates.atoms} atoms of the {which} frames had an error below sigma. "
                    "Sigma was predicted before these frames were labelled."
                )
    return ""


def plain(text: object) -> str:
    """Text for one line of Markdown, without characters special to Markdown or HTML."""
    line = " ".join(str(text).split()).translate({ord("<"): "&lt;", ord(">"): "&gt;"})
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", line)


def _markdown(table: Table) -> str:
    rows = [table.header, ["---"] * len(table.header)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in table.rows]
    return "\n".join(lines)
