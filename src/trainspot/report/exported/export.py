"""The folder a user takes away: models, dataset, calibration and a model card."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

import trainspot
from trainspot import io
from trainspot.common.errors import InputError
from trainspot.common.text import counted
from trainspot.data import hdf5
from trainspot.models.exported import (
    CALIBRATION,
    FORMAT,
    FORMAT_VERSION,
    MODELS,
    read_calibration,
)
from trainspot.report.findings import tables
from trainspot.report.findings.data import ReportData, dump
from trainspot.report.findings.verdict import summarise
from trainspot.report.quantities import BY_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainspot.data.dataset import Dataset
    from trainspot.judge.calibrate import Calibration
    from trainspot.report.pages.table import Table

CARD: Final = "README.md"
_MADE: Final = "Made by trainspot"


def export(
    folder: Path | str,
    *,
    dataset: Dataset,
    models: Mapping[str, bytes | Path],
    calibration: Mapping[str, Calibration],
    status: Mapping[str, Any],
    failures: Dataset | None = None,
) -> Path:
    """Write the folder; it appears whole or not at all, and replaces an earlier export.

    Without models it holds the dataset alone, and a card that says so.

    Args:
        folder: Where to; its parent must exist.
        dataset: The final dataset.
        models: File name → content or file; every kind's native format. May be empty.
        calibration: The last calibration of each property; may be empty.
        status: The campaign as in ``trainspot status --json``.
        failures: Frames that could not be labelled, each with ``info["failure"]``.

    Returns:
        The folder.

    Raises:
        InputError: Neither a model nor a label, a name that is not a plain file name, or a folder
            with other things.
    """
    target = Path(folder)
    if not models and not dataset.is_labelled.any():
        raise InputError(
            "nothing is labelled yet, so there is nothing to export",
            where=str(status.get("name") or ""),
            hint="trainspot status tells how far it is, or why it ended",
        )
    names = {key: _file_name(key, value) for key, value in models.items()}
    _check_replaceable(target)
    scratch = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        (scratch / MODELS if models else scratch).mkdir(parents=True)
        for key, value in models.items():
            content = value if isinstance(value, bytes) else value.read_bytes()
            (scratch / MODELS / names[key]).write_bytes(content)
        hdf5.write(dataset, scratch / "dataset.h5")
        io.write(dataset, scratch / "dataset.extxyz")
        if models:
            dump(scratch / CALIBRATION, _calibration(list(names.values()), calibration))
        data = ReportData(status, dataset)
        card = model_card(data, list(names.values()), calibration, failures)
        (scratch / CARD).write_text(card, encoding="utf-8")
        _replace(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def model_card(
    data: ReportData,
    models: list[str],
    calibration: Mapping[str, Calibration],
    failures: Dataset | None = None,
) -> str:
    """The README of the folder, in Markdown: of a committee, or of a dataset alone."""
    environment = Environment(
        loader=PackageLoader("trainspot.report.exported"),
        autoescape=False,  # noqa: S701  Markdown; names go through ``plain``
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    environment.filters["markdown"] = _markdown
    references = [record.get("reference") or {} for record in data.records]
    last = data.records[-1] if data.records else {}
    latest = ReportData({**data.status, "iterations": [last] if last else []}, data.dataset)
    bars = [
        (BY_KEY[key].title, f"{one.sigma or one.slope:.3g}", one.verdict, one.pairs, one.fitted)
        for key, one in calibration.items()
    ]
    template = "model_card.md.j2" if models else "dataset_card.md.j2"
    return environment.get_template(template).render(
        name=data.name,
        version=trainspot.__version__,
        models=models,
        species=data.dataset.species,
        theories=data.dataset.theories,
        engines=sorted({str(r["engine"]) for r in references if r.get("engine")}),
        n_labelled=int(data.dataset.is_labelled.sum()),
        missing=_missing(data.dataset, failures),
        running=data.status.get("exit") is None and bool(data.status.get("state")),
        notes=data.notes,
        summary=summarise(data),
        errors=tables.errors(latest),
        composition=tables.composition(data),
        bars=bars,
        forces=calibration.get("forces"),
        covered=_atoms_covered(data),
    )


def _missing(dataset: Dataset, failures: Dataset | None) -> list[str]:
    """Which frames of the campaign have no labels here."""
    found = []
    if waiting := int((~dataset.is_labelled).sum()):
        verb = "has" if waiting == 1 else "have"
        found.append(
            f"{counted(waiting, 'frame')} of the dataset {verb} no labels: "
            "chosen or made, and not labelled so far."
        )
    reasons = Counter(
        str((frame.info.get("failure") or {}).get("reason", "")) for frame in failures or ()
    )
    for reason, n in reasons.most_common():
        found.append(f"{counted(n, 'frame')} could not be labelled and left out: {reason}")
    return found


def _atoms_covered(data: ReportData) -> str:
    """How many errors of atoms the bars covered when they were last put to the test, or nothing."""
    for record in reversed(data.records):
        batch = (record.get("prospective") or {}).get("forces") or {}
        for found, which in ((batch.get("audit") or {}, "audit"), (batch, "labelled")):
            if (share := found.get("atom_coverage")) is not None:
                ends = found.get("atom_coverage_interval")
                interval = f" ({ends[0]:.0%} to {ends[1]:.0%})" if ends else ""
                return (
                    f"In iteration {record['n']} the scale used then covered {share:.0%}{interval} "
                    f"of the errors of the {found['atoms']} atoms of the {which} frames, which "
                    "were predicted before they were labelled."
                )
    return ""


def plain(text: object) -> str:
    """Text for one line of Markdown, with nothing that Markdown or HTML would act on."""
    line = " ".join(str(text).split()).translate({ord("<"): "&lt;", ord(">"): "&gt;"})
    return re.sub(r"([\\`*_\[\]|#])", r"\\\1", line)


def _markdown(table: Table) -> str:
    rows = [table.header, ["---"] * len(table.header)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["| " + " | ".join(plain(cell) for cell in row) + " |" for row in table.rows]
    return "\n".join(lines)


def _calibration(models: list[str], calibration: Mapping[str, Calibration]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "models": models,
        "properties": {key: one.to_dict() for key, one in calibration.items()},
    }


def _file_name(key: str, value: bytes | Path) -> str:
    """The name of a model file; a key without suffix takes that of its file."""
    name = key if isinstance(value, bytes) or Path(key).suffix else key + value.suffix
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name):
        raise InputError(f"'{key}' is no plain file name")
    return name


def _check_replaceable(target: Path) -> None:
    if not target.parent.is_dir():
        raise InputError("no such folder", where=str(target.parent))
    if not target.exists():
        return
    if not target.is_dir() or not _is_export(target):
        raise InputError(
            "exists and is not an earlier export", where=str(target), hint="choose another folder"
        )


def _is_export(target: Path) -> bool:
    """Whether the folder is empty, or holds an export and nothing else that would be lost."""
    names = {path.name for path in target.iterdir()}
    if not names:
        return True
    if not names <= {MODELS, CALIBRATION, CARD, "dataset.h5", "dataset.extxyz"}:
        return False
    try:
        read_calibration(target)
    except InputError:  # of an export without models, the card is what is ours
        return not names & {MODELS, CALIBRATION} and _MADE in _text(target / CARD)
    return True


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _replace(scratch: Path, target: Path) -> None:
    """Put the new folder in place of the old one."""
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    scratch.rename(target)
    shutil.rmtree(old, ignore_errors=True)
