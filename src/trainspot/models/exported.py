"""The folder of an export: names of its files; writes and reads ``calibration.json``.

No other module depends on the format of this file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from trainspot.common.errors import DataError, InputError
from trainspot.common.properties import PROPERTIES
from trainspot.predictions.error_bars import Trust

MODELS: Final = "models"
CALIBRATION: Final = "calibration.json"
FORMAT: Final = "trainspot-calibration"
FORMAT_VERSION: Final = 1


@dataclass(frozen=True)
class CalibrationFile:
    """The content of a ``calibration.json``.

    Attributes:
        path: The file.
        models: Names of the model files in ``models`` beside the file, in the order of the
            committee; empty in the output of ``trainspot calibrate``.
        properties: ``Calibration.to_dict`` of each property.
    """

    path: Path
    models: tuple[str, ...]
    properties: dict[str, dict[str, Any]]

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
        if isinstance(content, dict) and "format" not in content:
            return cls(path, (), content)
        return cls._checked(path, content)

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
            models, properties = tuple(content["models"]), content["properties"]
            good = all(Path(name).name == name for name in models)
            good = good and all(
                {"slope", "fitted"} <= entry.keys() for entry in properties.values()
            )
        except (KeyError, TypeError, AttributeError):
            good = False
        if not good:
            raise DataError("the list of models or properties is damaged", where=str(path))
        return cls(path, models, properties)

    @property
    def model_files(self) -> list[Path]:
        """The model files, in the order of the committee."""
        return [self.path.parent / MODELS / name for name in self.models]

    def trust(self) -> dict[str, Trust]:
        """The calibration of each fitted property.

        Raises:
            DataError: The file is damaged.
        """
        where, trusted = str(self.path.parent), {}
        for name, entry in self.properties.items():
            try:
                scale, threshold = (
                    entry.get("sigma") or entry["slope"],
                    entry.get("threshold", "inf"),
                )
                atoms = None if entry.get("atom_sigma") is None else float(entry["atom_sigma"])
                if entry["fitted"]:
                    trusted[name] = Trust(float(scale), float(threshold), atoms)
            except (TypeError, ValueError):
                raise DataError(f"the calibration of '{name}' is damaged", where=where) from None
            if name not in PROPERTIES:
                raise DataError(f"a calibration of '{name}', which is unknown", where=where)
        return trusted


def write_calibration(
    root: Path, models: Sequence[str], properties: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write the ``calibration.json`` of an exported folder; equal content gives equal bytes.

    Args:
        root: The folder.
        models: Names of the committee's files in ``models``.
        properties: ``Calibration.to_dict`` of each property.
    """
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "models": list(models),
        "properties": dict(properties),
    }
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    (root / CALIBRATION).write_text(text + "\n", encoding="utf-8")


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError("not JSON, or damaged", where=str(path)) from error
