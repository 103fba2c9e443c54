"""``trainspot train-member``: one member, in the working directory; what jobs run."""

from __future__ import annotations

from pathlib import Path

import click

from trainspot.common.errors import InputError
from trainspot.train import run


@click.command("train-member", hidden=True)
@click.argument("engine")
def train_member(engine: str) -> None:
    """Train the member whose input files lie in the working directory."""
    found = run.trainer(engine)
    if not found.runs_in_process:
        raise InputError(
            f"'{engine}' has a program of its own", hint=f"run {found.executable} instead"
        )
    found.run(Path.cwd())
