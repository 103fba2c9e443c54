"""The folder of an export: names of its files; writes and reads ``calibration.json``.

No other module depends on the format of this file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from trainspot.common.errors import DataError, InputError
from trainspot.common.properties import PROPERTIES
from trainspot.predictions.calibration import MIN_PAIRS, Calibration, trusted
from trainspot.predictions.error_bars import Trust

MODELS: Final = "models"
CALIBRATION: Final = "calibration.json"
FORMAT: Final = "trainspot-calibration"
FORMAT_VERSION: Final = 1

_DAMAGED: Final = "the list of models or properties is damaged"


@dataclass(frozen=True)
class CalibrationFile:
    """The content of a ``calibration.json``.

    Attributes:
        path: The file.
        models: Names of the model files in ``models`` beside the file, in the order of the
            committee; empty in the output of ``trainspot calibrate``.
        calibrations: Of each property.
    """

    path: Path
    models: tuple[str, ...]
    calibrations: dict[str, Calibration]

    @classmethod
    def of_export(cls, root: Path) -> Self:
        """Read the file of an exported folder.

        Raises:
            InputError: The folder has no such file.
            DataError: The file is damaged or has another format.
        """
        path = root / CALIBRATION
        if not path.is_file():
            raise InputError(
                f"no {CALIBRATION} here",
                where=str(root),
                hint="give a folder of 'trainspot export'",
            )
        return cls._checked(path, _json(path))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read an exported folder, or a file of an export or of ``trainspot calibrate``.

        Raises:
            InputError: No such file.
            DataError: The file is damaged or has another format.
        """
        if path.is_dir():
            return cls.of_export(path)
        if not path.is_file():
            raise InputError("no such file", where=str(path))
        content = _json(path)
        if not isinstance(content, dict) or "format" in content:
            return cls._checked(path, content)
        try:
            return cls(path, (), _calibrations(content))
        except DataError as error:
            raise DataError(
                "not a file of calibrations",
                where=str(path),
                hint="give a file of 'trainspot calibrate' or a folder of 'trainspot export'",
            ) from error

    @classmethod
    def _checked(cls, path: Path, content: Any) -> Self:
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise DataError("not a calibration of trainspot", where=str(path))
        version = content.get("format_version", 0)
        if not isinstance(version, int):
            raise DataError("its format_version is damaged", where=str(path))
        if version > FORMAT_VERSION:
            raise DataError("written by a newer trainspot", where=str(path))
        try:
            return cls(
                path, _models(content.get("models")), _calibrations(content.get("properties"))
            )
        except DataError as error:
            raise DataError(str(error), where=str(path)) from error

    @property
    def model_files(self) -> list[Path]:
        """The model files, in the order of the committee."""
        return [self.path.parent / MODELS / name for name in self.models]

    def trust(self) -> dict[str, Trust]:
        """What error bars need of each fitted property."""
        return trusted(self.calibrations)


def write_calibration(
    root: Path, models: Sequence[str], calibrations: Mapping[str, Calibration]
) -> None:
    """Write the ``calibration.json`` of an exported folder; equal content gives equal bytes.

    Args:
        root: The folder.
        models: Names of the committee's files in ``models``.
        calibrations: Of each property.
    """
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "models": list(models),
        "properties": {name: fit.to_dict() for name, fit in calibrations.items()},
    }
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    (root / CALIBRATION).write_text(text + "\n", encoding="utf-8")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError("not JSON, or damaged", where=str(path)) from error


def _models(names: object) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(
        isinstance(name, str) and Path(name).name == name for name in names
    ):
        raise DataError(_DAMAGED)
    return tuple(names)


def _calibrations(entries: object) -> dict[str, Calibration]:
    """The calibrations of a file.

    A file made by hand may have only ``slope`` and ``fitted`` of a property, which is enough for
    error bars.

    Raises:
        DataError: An entry is damaged, or of an unknown property.
    """
    if not isinstance(entries, dict) or not all(
        isinstance(entry, dict) and {"slope", "fitted"} <= entry.keys()
        for entry in entries.values()
    ):
        raise DataError(_DAMAGED)
    calibrations = {}
    for name, entry in entries.items():
        if name not in PROPERTIES:
            raise DataError(f"a calibration of '{name}', which is unknown")
        blank = Calibration.given(name, math.inf).to_dict() | {"needed": MIN_PAIRS, "basis": ""}
        try:
            calibrations[name] = Calibration.from_dict(blank | entry)
        except DataError as error:
            raise DataError(f"the calibration of '{name}' is damaged") from error
    return calibrations
