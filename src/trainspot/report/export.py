"""The folder a user takes away: models, dataset, calibration and a model card."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

import trainspot
from trainspot import io, store
from trainspot.committee import (
    CALIBRATION,
    FORMAT,
    FORMAT_VERSION,
    MODELS,
    read_calibration,
)
from trainspot.errors import InputError
from trainspot.report import tables
from trainspot.report.data import ReportData, dump
from trainspot.report.quantities import BY_KEY
from trainspot.report.summary import summarise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainspot.dataset import Dataset
    from trainspot.judge.calibrate import Calibration
    from trainspot.report.tables import Table

CARD: Final = "README.md"


def export(
    folder: Path | str,
    *,
    dataset: Dataset,
    models: Mapping[str, bytes | Path],
    calibration: Mapping[str, Calibration],
    status: Mapping[str, Any],
) -> Path:
    """Write the folder; it appears whole or not at all, and replaces an earlier export.

    Args:
        folder: Where to; its parent must exist.
        dataset: The final dataset.
        models: File name → content or file; every kind's native format.
        calibration: The last calibration of each property; may be empty.
        status: The campaign as in ``trainspot status --json``.

    Returns:
        The folder.

    Raises:
        InputError: No model, a name that is not a plain file name, or a folder with other things.
    """
    target = Path(folder)
    if not models:
        raise InputError("there is no model to export", hint="wait for the first training")
    names = {key: _file_name(key, value) for key, value in models.items()}
    _check_replaceable(target)
    scratch = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        (scratch / MODELS).mkdir(parents=True)
        for key, value in models.items():
            content = value if isinstance(value, bytes) else value.read_bytes()
            (scratch / MODELS / names[key]).write_bytes(content)
        store.write(dataset, scratch / "dataset.h5")
        io.write(dataset, scratch / "dataset.extxyz")
        dump(scratch / CALIBRATION, _calibration(list(names.values()), calibration))
        card = model_card(ReportData(status, dataset), list(names.values()), calibration)
        (scratch / CARD).write_text(card, encoding="utf-8")
        _replace(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def model_card(data: ReportData, models: list[str], calibration: Mapping[str, Calibration]) -> str:
    """The README of the folder, in Markdown."""
    environment = Environment(
        loader=PackageLoader("trainspot.report"),
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
    return environment.get_template("model_card.md.j2").render(
        name=data.name,
        version=trainspot.__version__,
        models=models,
        species=data.dataset.species,
        theories=data.dataset.theories,
        engines=sorted({str(r["engine"]) for r in references if r.get("engine")}),
        n_labelled=int(data.dataset.is_labelled.sum()),
        notes=data.notes,
        summary=summarise(data),
        errors=tables.errors(latest),
        composition=tables.composition(data),
        bars=bars,
        forces=calibration.get("forces"),
        covered=_atoms_covered(data),
    )


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
    known = {MODELS, CALIBRATION, CARD, "dataset.h5", "dataset.extxyz"}
    try:
        read_calibration(target)
    except InputError:
        return False
    return names <= known


def _replace(scratch: Path, target: Path) -> None:
    """Put the new folder in place of the old one."""
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    scratch.rename(target)
    shutil.rmtree(old, ignore_errors=True)
