"""``trainspot init``: a commented campaign file for given structures."""

from __future__ import annotations

import os
from pathlib import Path

import click

from trainspot.errors import InputError


@click.command()
@click.argument("structures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default="campaign.yaml",
    show_default=True,
    help="The campaign file to write.",
)
@click.option("--name", default="", help="Name of the campaign; default: the formula.")
@click.option("--protocol", default="default", show_default=True, help="Named set of defaults.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@click.option("--seed", type=click.IntRange(min=0), default=42, show_default=True)
def init(
    structures: tuple[Path, ...], output: Path, name: str, protocol: str, force: bool, seed: int
) -> None:
    """Write a commented campaign file for STRUCTURES (files that ASE reads)."""
    from trainspot import io
    from trainspot.augment import periodicity
    from trainspot.augment.plan import check_inputs
    from trainspot.config.load import load, protocols
    from trainspot.config.template import template
    from trainspot.errors import UnknownNameError
    from trainspot.frames import Frame
    from trainspot.wording import counted

    if protocol not in protocols():
        raise UnknownNameError("protocol", protocol, protocols())
    if not output.absolute().parent.is_dir():
        raise InputError("no such folder", where=str(output.parent), hint="make it first")
    if output.exists() and not force:
        raise InputError("exists already", where=str(output), hint="--force overwrites it")
    formulas, read = [], list[Frame]()
    for path in structures:
        frames = io.read(path)
        check_inputs(frames, str(path))
        read += frames
        formulas += [frame.to_atoms().get_chemical_formula(empirical=True) for frame in frames]
    folder = output.absolute().parent
    relative = [os.path.relpath(path.absolute(), folder) for path in structures]
    text = template(name or formulas[0], relative, seed=seed, protocol=protocol)
    output.write_text(text, encoding="utf-8")
    load(output)
    if note := periodicity.note(read):
        click.echo(f"note: {note}", err=True)
    click.echo(f"{output}: {counted(len(read), 'structure')}", err=True)
    click.echo(f"next: trainspot check {output}", err=True)
