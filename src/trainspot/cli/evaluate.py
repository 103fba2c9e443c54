"""``trainspot evaluate``: predict each frame with each member of a committee."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from trainspot import io
from trainspot.cli import _bars, _messages
from trainspot.cli._values import SeveralValues
from trainspot.cli.options import config_option, json_option, predictions_option, workers_option
from trainspot.common.errors import InputError
from trainspot.common.properties import UNITS
from trainspot.common.text import counted
from trainspot.evaluate import stream
from trainspot.evaluate.batch import member_names
from trainspot.evaluate.settings import EvaluateSettings
from trainspot.models import potential
from trainspot.models.committee import KIND
from trainspot.predictions import files
from trainspot.predictions.absolute import Absolute

_DEFAULT = EvaluateSettings()


@click.command(cls=SeveralValues)
@click.argument("frames", type=click.Path(path_type=Path))
@click.option(
    "--models",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="The members: several model files after one --models, or the folder of `trainspot train` "
    "or `trainspot export`.",
)
@click.option("--kind", default="", help="Kind of the models. Default: recognised from the files.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    default=_DEFAULT.dtype,
    show_default=True,
    help="Precision of the models.",
)
@click.option(
    "--max-atoms",
    type=click.IntRange(min=1),
    default=_DEFAULT.max_atoms,
    show_default=True,
    help="Largest number of atoms in one batch.",
)
@click.option("--device", default=_DEFAULT.device, show_default=True, help="cpu or cuda.")
@workers_option(
    "Processes that work at the same time, one thread each. Default: one per core if there are "
    "enough frames. A single process uses OMP_NUM_THREADS threads.",
    default=None,
    former=["--jobs"],
)
@json_option
@config_option
@predictions_option
def evaluate(
    frames: Path, models: tuple[Path, ...], output: Path, as_json: bool, **options: Any
) -> None:
    """Predict FRAMES with each member of a committee; write predictions and disagreements.

    With the folder of `trainspot export`, the output also has the calibrated error bar (sigma) of
    each frame, its threshold ratio and its novelty: above 1 the frame is outside of what the
    committee was trained on, and has no error bar.
    """
    if output.suffix != ".h5":
        raise InputError("predictions are HDF5 files", where=str(output), hint="use .h5")
    paths, calibrated = tuple(potential.members(models)), _bars.Calibrated.of(models)
    if calibrated is None and any(_bars.is_export(path) for path in models):
        _messages.note(_bars.ALONE)
    if calibrated and calibrated.no_novelty:
        _messages.warning(calibrated.no_novelty)
    kind = "" if calibrated and options["kind"] == KIND else options["kind"]  # of its members
    committee = stream.Models(paths, kind, options["dtype"], options["device"])
    stderr = click.get_text_stream("stderr")
    with (
        io.opened(frames) as dataset,
        click.progressbar(length=len(dataset), file=stderr, hidden=not stderr.isatty()) as bar,
    ):
        number, sizes = len(dataset), {key: options[key] for key in ("max_atoms", "workers")}
        errors = stream.evaluate_to_file(
            dataset,
            committee,
            output,
            **sizes,
            source=str(frames),
            trust=calibrated.trust if calibrated else None,
            domain=calibrated.domain if calibrated else None,
            progress=bar.update,
        )
        labels = io.counts(dataset)
    if any(count for name, count in labels.items() if name != "frames"):
        io.tell_counts(labels, frames)
    if as_json:
        by_set = {name: _listed(rmse) for name, rmse in errors.by_set.items()}
        content = {"frames": number, "members": member_names(paths), "rmse": _listed(errors.rmse)}
        content["absolute"] = _plain(errors.absolute)
        content["absolute_by_set"] = {
            name: _plain(absolute) for name, absolute in errors.absolute_by_set.items()
        }
        content |= {"rmse_by_set": by_set} | (calibrated.content(output) if calibrated else {})
        click.echo(json.dumps(content, sort_keys=True))
        return
    by = counted(len(paths), "model")
    click.echo(f"{counted(number, 'frame')} evaluated with {by}: {output}")
    bars = calibrated.lines(output) if calibrated else ()
    for line in (*_errors(errors), *_disagreement(output), *bars):
        click.echo(line)


def _listed(rmse: dict[str, Any]) -> dict[str, list[float]]:
    return {name: values.tolist() for name, values in rmse.items()}


def _plain(absolute: dict[str, Absolute]) -> dict[str, Any]:
    return {name: asdict(one) for name, one in absolute.items()}


def _errors(errors: stream.Errors) -> Iterator[str]:
    """By split, because an error on training frames says nothing about other frames."""
    for name, unit in UNITS.items():
        for chosen, rmse in errors.by_set.items():
            if name in rmse:
                values = ", ".join(f"{value:.3g}" for value in rmse[name])
                split = "no split" if chosen == stream.NO_SET else chosen
                absolute = errors.absolute_by_set[chosen][name]
                yield (
                    f"{name}, {split}: RMSE of the members {values} {unit}; committee: MAE "
                    f"{absolute.mae:.3g}, 95 % below {absolute.p95:.3g}"
                )


def _disagreement(output: Path) -> Iterator[str]:
    for name, values in files.disagreement(output).items():
        middle, most = np.median(values), values.max()
        yield f"{name}: disagreement {middle:.3g} (median), {most:.3g} (largest) {UNITS[name]}"
