"""``trainspot train``: train a committee of potentials on labelled frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainspot import io
from trainspot.cli import _messages
from trainspot.cli._doubts import tell
from trainspot.cli.options import (
    Renamed,
    config_option,
    folder_option,
    seed_option,
    workers_option,
)
from trainspot.common.text import counted
from trainspot.common.validation import parse_settings
from trainspot.config import document
from trainspot.split import assign
from trainspot.train import run
from trainspot.train.bagging import bags
from trainspot.train.base import member_seeds, mixed_states, training_sets

if TYPE_CHECKING:
    from trainspot.config.models import Campaign

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("frames", type=_FILE)
@click.option("--engine", default="mace", show_default=True, help="Trainer.")
@click.option(
    "--committee-size",
    cls=Renamed,
    former=["--committee"],
    default=4,
    show_default=True,
    help="Number of members, at least 2.",
)
@click.option(
    "--bagging",
    type=float,
    default=0.0,
    show_default=True,
    help="Share of the training frames that each member leaves out, another one for each member.",
)
@click.option(
    "--settings", "settings_file", type=_FILE, help="Hyper-parameters of the trainer, JSON or YAML."
)
@workers_option("Members that are trained at the same time, one process each.")
@click.option(
    "--start",
    multiple=True,
    type=_FILE,
    help="Model that all members start from. Repeat it to give one model per member.",
)
@seed_option
@folder_option
@config_option
def train(
    frames: Path,
    engine: str,
    committee_size: int,
    settings_file: Path | None,
    workers: int,
    start: tuple[Path, ...],
    seed: int,
    output: Path,
    config: Campaign | None,
    **options: Any,
) -> None:
    """Train a committee of potentials on the labelled frames of FRAMES.

    The models are written to the folder OUTPUT. Frames without a split get one first; the dataset
    with all splits is then written to OUTPUT/dataset.h5. Test frames are never used for training.
    """
    trainer = run.trainer(engine)
    same = config is not None and config.train.engine == engine
    raw: dict[str, Any] = config.train.settings.model_dump() if config and same else {}
    raw |= document.read(settings_file).data if settings_file else {}
    settings = parse_settings(trainer.Settings, raw, where=str(settings_file or "settings"))
    seeds = member_seeds(seed, committee_size)
    members = bags(options["bagging"], committee_size, seed)
    if config and config.train.start == "foundation" and not start:
        start = (Path(config.train.foundation or ""),)
    shares = config.split.fractions if config else (0.8, 0.1, 0.1)
    inputs = io.merged(io.read(frames), str(frames), tell=_messages.note)
    if text := mixed_states(inputs):
        _messages.warning(text)
    tell(inputs, trainer.given_e0s(settings))
    dataset = assign(inputs, shares, seed=seed)
    stderr = click.get_text_stream("stderr")
    with click.progressbar(length=1000, file=stderr, hidden=not stderr.isatty()) as bar:

        def show(shares: list[float]) -> None:
            bar.update(int(1000 * sum(shares) / len(shares)) - bar.pos)

        results = run.train_committee(
            trainer,
            dataset,
            settings,
            output,
            seeds=seeds,
            workers=workers,
            start=start,
            bags=members,
            progress=show,
        )
    io.tell_counts(inputs, frames)
    for warning in dict.fromkeys(text for result in results for text in result.warnings):
        _messages.warning(warning)
    click.echo(f"{counted(len(results), 'member')} trained: {output}")
    if members:
        left_out = ", ".join(str(len(bag.left_out(dataset))) for bag in members)
        train = training_sets(dataset)[0]
        frames_to_share = counted(int((~train.is_isolated).sum()), "training frame")
        click.echo(f"of {frames_to_share} the members left out {left_out}")
    if drawn := int((inputs.column("split") != dataset.column("split")).sum()):
        # A calibration without these splits would take training frames for held-out ones.
        frames = output / "dataset.h5"
        io.write(dataset, frames)
        without = counted(drawn, "frame")
        click.echo(f"{without} had no split; from here on use {frames}, which has all splits")
    click.echo(f"next: trainspot evaluate {frames} --models {output} -o predictions.h5")
