"""Options that take several values; values of thresholds, tolerances and campaign settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from trainspot.common.errors import DataError, InputError, UnknownNameError
from trainspot.common.properties import PROPERTIES
from trainspot.evaluate.batch import digest
from trainspot.judge.calibrate import of_committee
from trainspot.models.committee import CommitteePotential
from trainspot.models.exported import CalibrationFile
from trainspot.predictions.calibration import Calibration
from trainspot.predictions.statistics import fingerprint


class SeveralValues(click.Command):
    """A command whose repeatable options also take many values: ``--models a b c``.

    Values end at the next option, so positional arguments come first.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the name of the option before each of its values."""
        names = {
            name
            for param in self.params
            if isinstance(param, click.Option) and param.multiple
            for name in param.opts
        }
        return super().parse_args(ctx, list(_repeated(args, names)))


def _repeated(args: Iterable[str], names: set[str]) -> Iterator[str]:
    option, first = "", False
    for word in args:
        if word.startswith("-"):
            option, first = (word, True) if word in names else ("", False)
            yield word
        elif option and not first:
            yield from (option, word)
        else:
            first = False
            yield word


def by_property(words: Iterable[str], option: str) -> dict[str, float]:
    """Numbers given as ``forces=0.1``.

    Raises:
        UnknownNameError: No such property.
        InputError: Not of this form, or given twice.
    """
    values: dict[str, float] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if name not in PROPERTIES:
            raise UnknownNameError("property", name, PROPERTIES, where=option)
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not equals or not 0 < value < float("inf"):
            raise InputError(
                f"'{word}' is not PROPERTY=NUMBER with a positive number",
                where=option,
                hint=f"write for example {option} forces=0.1",
            )
        if name in values:
            raise InputError(f"{name} is given twice", where=option)
        values[name] = value
    return values


def changes_of(words: Iterable[str], option: str) -> dict[str, Any]:
    """Values of a campaign given as ``explore.time=0.5``, read like the campaign file.

    Raises:
        InputError: Not of this form, given twice, or not YAML.
    """
    changes: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not (equals and all(key.split("."))):
            raise InputError(
                f"'{word}' is not KEY=VALUE", where=option, hint=f"write {option} explore.time=0.5"
            )
        if key in changes:
            raise InputError(f"{key} is given twice", where=option)
        try:
            changes[key] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise InputError(f"the value of '{word}' is not YAML", where=option) from None
    return changes


def calibrations(words: Sequence[str], option: str) -> dict[str, Calibration]:
    """The calibrations of a JSON file or an exported folder, or thresholds as ``forces=0.05``.

    Raises:
        InputError: No such file, or none of these, or no property is calibrated.
        DataError: A damaged or foreign file.
    """
    path = Path(words[0])
    is_folder = CommitteePotential.recognises(path)
    if len(words) > 1 or not (is_folder or path.suffix == ".json"):
        thresholds = by_property(words, option)
        return {name: Calibration.given(name, value) for name, value in thresholds.items()}
    fitted = _read_calibrations(path)
    if not fitted:
        raise InputError(
            "has no calibrated property",
            where=str(path),
            hint=f"give numbers: {option} forces=0.05",
        )
    return fitted


def _read_calibrations(path: Path) -> dict[str, Calibration]:
    content = CalibrationFile.read(path)
    fitted = content.calibrations
    limits = [value for fit in fitted.values() for value in (fit.threshold, fit.tolerance)]
    if not all(0 < value < float("inf") for value in limits):
        raise DataError("not a file of calibrations", where=str(path))
    models = content.model_files
    if models and all(model.exists() for model in models):
        return of_committee(fitted, fingerprint(map(digest, models)))
    return fitted
