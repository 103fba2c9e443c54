"""The exported folder: models, dataset, calibration and a model card."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trainspot import io
from trainspot.common.errors import InputError
from trainspot.data import hdf5
from trainspot.models.exported import CALIBRATION, MODELS, CalibrationFile, write_calibration
from trainspot.models.novelty_file import NOVELTY, write_domain
from trainspot.report.exported.card import card
from trainspot.report.findings.data import ReportData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainspot.data.dataset import Dataset
    from trainspot.predictions.calibration import Calibration
    from trainspot.predictions.domain import Domain

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
    domain: Domain | None = None,
    no_novelty: str = "",
) -> Path:
    """Write the folder; it appears whole or not at all, and replaces an earlier export.

    Without models the folder has the dataset and a card of the dataset.

    Args:
        folder: Path of the folder; the parent must exist.
        dataset: The final dataset.
        models: File name → content or file, in the native format of the model kind. May be empty.
        calibration: The last calibration of each property; may be empty.
        status: The campaign as in ``trainspot status --json``.
        domain: The training frames of the committee, for novelty; ``None``: not known.
        no_novelty: Why there is no domain, for the card.
        failures: Frames whose labelling failed, each with its ``Failure``.

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
            write_calibration(scratch, list(names.values()), calibration)
            if domain is not None:
                write_domain(scratch, domain)
        data = ReportData(status, dataset)
        unknown = "" if domain else no_novelty or "nobody judged it"
        text = card(data, list(names.values()), calibration, failures, no_novelty=unknown)
        (scratch / CARD).write_text(text, encoding="utf-8")
        _replace(scratch, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _file_name(key: str, value: bytes | Path) -> str:
    """The name of a model file; a key without suffix takes the suffix of the file."""
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
    """Whether the folder is empty, or has only files of an export."""
    names = {path.name for path in target.iterdir()}
    if not names:
        return True
    if not names <= {MODELS, CALIBRATION, NOVELTY, CARD, "dataset.h5", "dataset.extxyz"}:
        return False
    try:
        CalibrationFile.of_export(target)
    except InputError:  # an export without models is recognised by its card
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
