"""``trainspot calibrate``: fit thresholds on the disagreement to tolerated errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainspot import io
from trainspot.cli import _messages
from trainspot.cli._doubts import tell
from trainspot.cli._held_out import audit_pairs, validation_pairs
from trainspot.cli._summaries import of_calibration
from trainspot.cli._values import SeveralValues, by_property
from trainspot.cli.options import config_option, json_option, seed_option
from trainspot.common.atomic_write import replacing
from trainspot.common.errors import InputError
from trainspot.common.seeds import generator
from trainspot.common.validation import parse_settings
from trainspot.judge.calibrate import calibrate as calibrate_pairs
from trainspot.judge.calibrate import of_committee
from trainspot.judge.pairs import Pairs
from trainspot.judge.settings import CalibrateSettings, Tolerance
from trainspot.judge.spread import too_wide
from trainspot.models import potential
from trainspot.predictions.predictions import Predictions

if TYPE_CHECKING:
    from trainspot.config.models import Campaign

_DEFAULT = CalibrateSettings()


@click.command(cls=SeveralValues)
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option(
    "--reference",
    required=True,
    type=click.Path(path_type=Path),
    help="The dataset with the labels of the frames in PREDICTIONS.",
)
@click.option(
    "--audit",
    "audits",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Predictions of an earlier round, from which `trainspot select` drew audit frames. The "
    "fit uses these frames too, with the error that they had in that round. Their labels are in "
    "the reference dataset. Oldest round first.",
)
@click.option(
    "--tolerance",
    multiple=True,
    help="Error that you accept, such as forces=0.1, in eV/atom (energy), eV/Å (forces) and eV/Å³ "
    "(stress). Default: all three, as in the campaign file.",
)
@click.option(
    "--method",
    default=_DEFAULT.method,
    show_default=True,
    help="Calibration method: quantile, regression, scale or conformal.",
)
@click.option(
    "--quantile",
    type=float,
    default=_DEFAULT.quantile,
    show_default=True,
    help="Method quantile: the quantile of error/disagreement. A larger one misses fewer frames "
    "and flags more.",
)
@click.option(
    "--miss-rate",
    type=float,
    default=_DEFAULT.miss_rate,
    show_default=True,
    help="Method conformal: share of frames whose error may exceed the tolerance unnoticed.",
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write the JSON to this file too."
)
@click.option(
    "--models",
    multiple=True,
    type=click.Path(path_type=Path),
    help="With --export: the models that made PREDICTIONS, as files or as the folder of "
    "`trainspot train`.",
)
@click.option(
    "--export",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a folder for ASE and LAMMPS, like that of `trainspot export`.",
)
@seed_option
@json_option
@config_option
def calibrate(
    predictions: Path,
    reference: Path,
    tolerance: tuple[str, ...],
    output: Path | None,
    models: tuple[Path, ...],
    folder: Path | None,
    seed: int,
    as_json: bool,
    config: Campaign | None,
    **options: Any,
) -> None:
    """Fit a threshold on the disagreement of a committee for each tolerance.

    PREDICTIONS is a file of `trainspot evaluate`. The fit uses the validation frames and the audit
    frames of earlier rounds, as a campaign does. It leaves out the training frames, because their
    errors say nothing about new frames, and the test frames, which stay for the last test.
    """
    if output is not None and not output.absolute().parent.is_dir():
        raise InputError("no such folder", where=str(output.parent), hint="make it first")
    if bool(models) != (folder is not None):
        raise InputError("--models and --export go together")
    audits = options.pop("audits")
    how = parse_settings(CalibrateSettings, options)
    frames, predicted = io.read(reference), Predictions.read(predictions)
    tell(frames)
    asked = _tolerance(tolerance, config)
    for text in too_wide(asked, frames, generator(seed, "calibrate", "spread")):
        _messages.warning(text)
    drawn = audit_pairs(frames, audits, reference)
    pairs = Pairs.concatenate([drawn, validation_pairs(frames, predicted, reference, predictions)])
    calibrations = calibrate_pairs(pairs, asked, how, seed, drawn.frame_ids)
    calibrations = of_committee(calibrations, predicted.committee)
    text = json.dumps(
        {name: c.to_dict() for name, c in calibrations.items()}, indent=2, sort_keys=True
    )
    if folder is not None:
        # brings the libraries of the figures
        from trainspot.report.exported.by_hand import export_by_hand

        members = potential.members(models)
        export_by_hand(
            folder,
            dataset=frames,
            models=members,
            predictions=predicted,
            calibration=calibrations,
            select=config.select if config else None,
        )
    if output is not None:
        with replacing(output) as path:
            path.write_text(text + "\n", encoding="utf-8")
    io.tell_counts(frames, reference)
    click.echo(text if as_json else "\n".join(map(of_calibration, calibrations.values())))
    if folder is not None and not as_json:
        click.echo(f'in ASE: atoms.calc = trainspot.calculator("{folder}")')


def _tolerance(words: tuple[str, ...], config: Campaign | None) -> Tolerance:
    if words:
        nothing = dict.fromkeys(Tolerance.model_fields)
        return parse_settings(Tolerance, nothing | by_property(words, "--tolerance"))
    return config.tolerance if config is not None else Tolerance()
