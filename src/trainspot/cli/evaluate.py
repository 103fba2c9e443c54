"""``trainspot evaluate``: what each member of a committee predicts for each frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from trainspot import io
from trainspot.cli._values import SeveralValues
from trainspot.cli.options import config_option, json_option, output_option
from trainspot.errors import InputError
from trainspot.evaluate import stream
from trainspot.evaluate.batch import member_names
from trainspot.evaluate.settings import EvaluateSettings
from trainspot.judge.settings import UNITS

_DEFAULT = EvaluateSettings()


@click.command(cls=SeveralValues)
@click.argument("frames", type=click.Path(path_type=Path))
@click.option(
    "--models",
    required=True,
    multiple=True,
    type=click.Path(path_type=Path),
    help="Model files of the members; several after one --models.",
)
@click.option("--kind", default="", help="Kind of the models; recognised if not given.")
@click.option(
    "--dtype", type=click.Choice(["float32", "float64"]), default=_DEFAULT.dtype, show_default=True
)
@click.option(
    "--max-atoms",
    type=click.IntRange(min=1),
    default=_DEFAULT.max_atoms,
    show_default=True,
    help="Atoms in one batch.",
)
@click.option("--device", default=_DEFAULT.device, show_default=True, help="cpu or cuda.")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Processes; by default one for each core where there is enough to do.",
)
@json_option
@config_option
@output_option
def evaluate(
    frames: Path, models: tuple[Path, ...], output: Path, as_json: bool, **options: Any
) -> None:
    """Evaluate a committee on FRAMES: predictions and disagreement as an HDF5 file."""
    if output.suffix != ".h5":
        raise InputError("predictions are HDF5 files", where=str(output), hint="use .h5")
    committee = stream.Models(models, options["kind"], options["dtype"], options["device"])
    stderr = click.get_text_stream("stderr")
    with (
        io.opened(frames) as dataset,
        click.progressbar(length=len(dataset), file=stderr, hidden=not stderr.isatty()) as bar,
    ):
        number, sizes = len(dataset), {key: options[key] for key in ("max_atoms", "jobs")}
        rmse = stream.evaluate_to_file(
            dataset, committee, output, **sizes, source=str(frames), progress=bar.update
        )
    names = member_names(models)
    if as_json:
        listed = {name: values.tolist() for name, values in rmse.items()}
        content = {"frames": number, "members": names, "rmse": listed}
        click.echo(json.dumps(content, sort_keys=True))
        return
    click.echo(f"{number} frames by {len(models)} models: {output}")
    for name, values in rmse.items():
        click.echo(
            f"{name}: RMSE of the members {', '.join(f'{v:.3g}' for v in values)} {UNITS[name]}"
        )
