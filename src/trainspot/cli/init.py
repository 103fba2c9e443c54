"""``trainspot init``: a commented campaign file for given structures."""

from __future__ import annotations

import os
from pathlib import Path

import click

from trainspot.cli.options import periodic_option
from trainspot.common.errors import InputError


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
@periodic_option
def init(
    structures: tuple[Path, ...],
    output: Path,
    name: str,
    protocol: str,
    force: bool,
    seed: int,
    periodic: tuple[bool, bool, bool] | None,
) -> None:
    """Write a commented campaign file for STRUCTURES (files that ASE reads).

    Names are taken as they are, whatever characters they have.
    """
    from trainspot import io
    from trainspot.augment import periodicity
    from trainspot.augment.plan import check_inputs
    from trainspot.common.errors import UnknownNameError
    from trainspot.common.text import counted
    from trainspot.config.load import load, protocols, structure_files
    from trainspot.config.template import template
    from trainspot.data.frames import Frame

    if protocol not in protocols():
        raise UnknownNameError("protocol", protocol, protocols())
    if not output.absolute().parent.is_dir():
        raise InputError("no such folder", where=str(output.parent), hint="make it first")
    if output.exists() and not force:
        raise InputError("exists already", where=str(output), hint="--force overwrites it")
    formulas, read = [], list[Frame]()
    for path in structures:
        frames = io.with_periodicity(io.read(path), periodic, str(path))
        check_inputs(frames, str(path))
        read += frames
        formulas += [frame.to_atoms().get_chemical_formula(empirical=True) for frame in frames]
    relative = [_relative(path, output) for path in structures]
    text = template(name or formulas[0], relative, seed=seed, protocol=protocol, periodic=periodic)
    output.write_text(text, encoding="utf-8")
    structure_files(load(output))
    if any(frame.labels for frame in read):
        click.echo("note: labels of structures are not used; for them say 'dataset:'", err=True)
    if note := periodicity.note(read):
        click.echo(f"note: {note}", err=True)
    click.echo(f"{output}: {counted(len(read), 'structure')}", err=True)
    click.echo(f"next: trainspot check {output}", err=True)


def _relative(path: Path, output: Path) -> str:
    """The path from the folder of the campaign file, through no link, by which `..` would go."""
    own = path.absolute()
    found = os.path.relpath(own.parent.resolve() / own.name, output.absolute().parent.resolve())
    try:
        found.encode()
    except UnicodeEncodeError:
        shown = ascii(path.name)
        hint = "rename it: a campaign file is UTF-8"
        raise InputError("has a name that is not UTF-8", where=shown, hint=hint) from None
    return found
