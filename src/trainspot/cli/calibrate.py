"""``trainspot calibrate``: from a tolerated error to a threshold on the disagreement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainspot import io
from trainspot.cli._doubts import tell
from trainspot.cli._values import SeveralValues, by_property
from trainspot.cli.options import config_option, json_option, seed_option
from trainspot.common.atomic_write import replacing
from trainspot.common.errors import InputError
from trainspot.common.seeds import generator
from trainspot.common.text import counted
from trainspot.common.validation import parse_settings
from trainspot.judge.atoms import with_atom_scale
from trainspot.judge.calibrate import calibrate as calibrate_pairs
from trainspot.judge.calibrate import of_committee
from trainspot.judge.pairs import Pairs, collect_pairs
from trainspot.judge.settings import CalibrateSettings, Tolerance
from trainspot.judge.spread import too_wide
from trainspot.models import potential
from trainspot.predictions.predictions import Predictions

if TYPE_CHECKING:
    from trainspot.config.models import Campaign
    from trainspot.data.dataset import Dataset

_DEFAULT = CalibrateSettings()


@click.command(cls=SeveralValues)
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option(
    "--reference", required=True, type=click.Path(path_type=Path), help="The labelled frames."
)
@click.option(
    "--tolerance",
    multiple=True,
    help="Errors you accept, such as forces=0.1; eV/atom, eV/Å, eV/Å³. By default all three.",
)
@click.option("--method", default=_DEFAULT.method, show_default=True)
@click.option("--quantile", type=float, default=_DEFAULT.quantile, show_default=True)
@click.option(
    "--miss-rate", type=float, default=_DEFAULT.miss_rate, show_default=True, help="Of conformal."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the JSON here too.")
@click.option(
    "--models",
    multiple=True,
    type=click.Path(path_type=Path),
    help="With --export: the model files that made PREDICTIONS, or the folder of `train`.",
)
@click.option(
    "--export",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a folder for ASE and LAMMPS, as `trainspot export` does of a campaign.",
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
    **settings: Any,
) -> None:
    """Calibrate the disagreement in PREDICTIONS against labelled frames.

    Frames of the training set are left out: their errors say nothing about new frames. All others
    count, validation and test frames alike.
    """
    if output is not None and not output.absolute().parent.is_dir():
        raise InputError("no such folder", where=str(output.parent), hint="make it first")
    if bool(models) != (folder is not None):
        raise InputError("--models and --export go together")
    how = parse_settings(CalibrateSettings, settings)
    frames, predicted = io.read(reference), Predictions.read(predictions)
    tell(frames)
    asked = _tolerance(tolerance, config)
    for text in too_wide(asked, frames, generator(seed, "calibrate", "spread")):
        click.echo(f"warning: {text}", err=True)
    pairs = _pairs(frames, predicted, reference, predictions)
    found = calibrate_pairs(pairs, asked, how, seed)
    found = of_committee(with_atom_scale(found, frames, predicted), predicted.committee)
    text = json.dumps({name: c.to_dict() for name, c in found.items()}, indent=2, sort_keys=True)
    if folder is not None:
        # brings the libraries of the figures
        from trainspot.report.exported.by_hand import export_by_hand

        members = potential.members(models)
        export_by_hand(
            folder, dataset=frames, models=members, predictions=predicted, calibration=found
        )
    if output is not None:
        with replacing(output) as path:
            path.write_text(text + "\n", encoding="utf-8")
    io.tell_counts(frames, reference)
    click.echo(text if as_json else "\n".join(c.summary() for c in found.values()))
    if folder is not None and not as_json:
        click.echo(f'in ASE: atoms.calc = trainspot.calculator("{folder}")')


def _pairs(frames: Dataset, predicted: Predictions, reference: Path, predictions: Path) -> Pairs:
    """Δ and e of the held-out frames; frames without a set are taken for such, with a warning."""
    pairs = collect_pairs(frames, predicted)
    if not len(pairs):
        raise InputError(
            f"none of the frames of {predictions} is here with a label",
            where=str(reference),
            hint="give the labelled frames that were evaluated",
        )
    if not pairs.held_out.any():
        raise InputError(
            "no labelled frame outside the training set was evaluated",
            where=str(reference),
            hint="evaluate validation frames",
        )
    unknown = int((frames.select(pairs.frame_ids).column("split") == 0).sum())
    if unknown:
        click.echo(
            f"warning: {counted(unknown, 'frame')} of {reference} without a set: taken for frames "
            "that the committee was not trained on; if it was, thresholds come out too high",
            err=True,
        )
    return pairs


def _tolerance(words: tuple[str, ...], config: Campaign | None) -> Tolerance:
    if words:
        nothing = dict.fromkeys(Tolerance.model_fields)
        return parse_settings(Tolerance, nothing | by_property(words, "--tolerance"))
    return config.tolerance if config is not None else Tolerance()
