"""``trainspot select``: select the frames to label next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainspot import io
from trainspot.cli import _messages
from trainspot.cli._held_out import marked
from trainspot.cli._summaries import of_calibration, of_judgement
from trainspot.cli._values import SeveralValues, calibrations
from trainspot.cli._why import sentence
from trainspot.cli.options import config_option, given, json_option, output_option, seed_option
from trainspot.common.validation import parse_settings
from trainspot.judge import judge
from trainspot.judge.calibrate import check_committee
from trainspot.judge.settings import JudgeSettings, ScreenSettings, SelectSettings, StopSettings
from trainspot.predictions.files import frames_of
from trainspot.predictions.predictions import Predictions

if TYPE_CHECKING:
    from trainspot.config.models import Campaign

_DEFAULT = SelectSettings()


@click.command(cls=SeveralValues)
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option(
    "--thresholds",
    required=True,
    multiple=True,
    help="Thresholds on the disagreement: the JSON file of `trainspot calibrate`, the folder of "
    "`trainspot export`, its calibration.json, or numbers such as forces=0.05.",
)
@click.option(
    "--frames",
    type=click.Path(path_type=Path),
    help="The frames of PREDICTIONS, if their file has moved.",
)
@click.option(
    "--known",
    type=click.Path(path_type=Path),
    help="Frames that you have already; not selected again.",
)
@click.option(
    "--starts",
    type=click.Path(path_type=Path),
    help="Start frames of the molecular dynamics, to check the volume.",
)
@click.option(
    "--max-frames",
    type=int,
    default=_DEFAULT.max_frames,
    show_default=True,
    help="Largest number of frames to select. If you give it, select.share of the campaign file "
    "is ignored.",
)
@click.option(
    "--method",
    default=_DEFAULT.method,
    show_default=True,
    help="Selection method: diverse, random or ranked.",
)
@click.option(
    "--audit",
    default=str(_DEFAULT.audit),
    show_default=True,
    help="Number of frames drawn at random as a check, or auto.",
)
@click.option(
    "--novelty",
    help="Also flag frames that are farther from the training frames of --known than this share of "
    "its validation frames; or none.",
)
@click.option(
    "--novelty-of",
    type=click.Choice(["frames", "atoms", "both"]),
    default=_DEFAULT.novelty_of,
    show_default=True,
    help="What novelty compares: frames as a whole, their farthest atoms, or both.",
)
@seed_option
@json_option
@config_option
@output_option
def select(
    predictions: Path,
    thresholds: tuple[str, ...],
    frames: Path | None,
    output: Path,
    seed: int,
    as_json: bool,
    config: Campaign | None,
    **options: Any,
) -> None:
    """Select frames of PREDICTIONS to label next, and write them.

    PREDICTIONS is a file of `trainspot evaluate`. The command refuses unphysical frames, flags the
    frames whose disagreement exceeds a threshold, and selects among these. Frames drawn for the
    audit carry the mark `audit`, which `trainspot calibrate --audit` looks for.
    """
    io.check_output(output)
    known_file, starts_file = (options.pop(name) for name in ("known", "starts"))
    base = config.select.model_dump() if config else {"share": 1.0}
    if given("max_frames"):
        base["share"] = 1.0
    novelty = options.pop("novelty")
    if given("novelty"):
        options["novelty"] = None if novelty == "none" else novelty
    by = parse_settings(SelectSettings, base | options)
    # A number that is asked for is drawn also where nothing is flagged, as a final audit is.
    audit = by.audit if given("audit") and by.audit != "auto" else 0
    predicted = Predictions.read(predictions)
    explored = frames_of(predicted, predictions, frames)
    limits = calibrations(thresholds, "--thresholds")
    check_committee(limits, predicted.committee, thresholds[0])
    for calibration in limits.values():
        if not calibration.fitted:
            _messages.warning(of_calibration(calibration))
    screen = config.screen if config else ScreenSettings()
    judgement = judge(
        explored,
        predicted,
        limits,
        io.read(known_file) if known_file else explored[:0],
        JudgeSettings(
            screen=screen,
            select=by,
            stop=StopSettings(final_audit=audit),
        ),
        iteration=1,
        seed=seed,
        starts=io.read(starts_file) if starts_file else explored[:0],
    )
    io.write(marked(judgement.chosen_of(explored, screen.max_force), judgement.audit), output)
    if as_json:
        reasons = {i: sentence(decision) for i, decision in judgement.decisions.items()}
        click.echo(json.dumps(judgement.to_dict() | {"reasons": reasons}, sort_keys=True))
        return
    if note := judgement.novelty.note:
        _messages.note(note if known_file else f"{note}; give them with --known")
    click.echo(f"{of_judgement(judgement)}: {output}")
    if not judgement.chosen:
        refused = sum(judgement.refused.values()) == judgement.explored
        within = "no new frame exceeds a threshold"
        click.echo(f"nothing to label: {'every frame was refused' if refused else within}")
