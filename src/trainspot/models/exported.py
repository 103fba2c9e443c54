"""The folder of an export: names of its files, and ``calibration.json`` written and read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from trainspot.common.errors import DataError, InputError

MODELS: Final = "models"
CALIBRATION: Final = "calibration.json"
FORMAT: Final = "trainspot-calibration"
FORMAT_VERSION: Final = 1


def read_calibration(root: Path) -> dict[str, Any]:
    """``calibration.json`` of an exported folder, checked.

    Raises:
        InputError: There is none.
        DataError: It is damaged or not ours.
    """
    path = root / CALIBRATION
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(
            f"no {CALIBRATION} here", where=str(root), hint="give a folder of 'trainspot export'"
        ) from None
    except ValueError as error:
        raise DataError("not JSON, or damaged", where=str(path)) from error
    return checked(content, path)


def checked(content: Any, path: Path) -> dict[str, Any]:
    """The content of a ``calibration.json``, wherever the file is.

    Raises:
        DataError: It is damaged or not ours.
    """
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError("not a calibration of ours", where=str(path))
    version = content.get("format_version", 0)
    if not isinstance(version, int):
        raise DataError("its format_version is damaged", where=str(path))
    if version > FORMAT_VERSION:
        raise DataError("written by a newer trainspot", where=str(path))
    try:
        good = all(Path(name).name == name for name in content["models"])
        good = good and all(
            {"slope", "fitted"} <= one.keys() for one in content["properties"].values()
        )
    except (KeyError, TypeError, AttributeError):
        good = False
    if not good:
        raise DataError("the list of models or properties is damaged", where=str(path))
    return dict(content)
