"""``trainspot train-member``: train one member in the working directory, as a job does."""

from __future__ import annotations

from pathlib import Path

import click

from trainspot.common.errors import InputError
from trainspot.train import run


@click.command("train-member", hidden=True)
@click.argument("engine")
def train_member(engine: str) -> None:
    """Train the member whose input files are in the working directory."""
    trainer = run.trainer(engine)
    if not trainer.runs_in_process:
        raise InputError(
            f"the trainer '{engine}' has its own program", hint=f"run {trainer.executable} instead"
        )
    trainer.run(Path.cwd())
