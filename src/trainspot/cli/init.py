"""``trainspot init``: write a commented campaign file for your structures."""

from __future__ import annotations

import os
from pathlib import Path

import click

from trainspot.cli import _messages
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
@click.option("--name", default="", help="Name of the campaign. Default: the formula.")
@click.option(
    "--protocol",
    default="default",
    show_default=True,
    help="Named set of defaults; `trainspot config protocols` lists them.",
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=42,
    show_default=True,
    help="Seed of all random numbers.",
)
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
    """Write a commented campaign file for STRUCTURES (any files that ASE reads).

    File names are used as they are, with any characters.
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
        _messages.note("labels of structures are not used; to use them, write 'dataset: FILE'")
    if note := periodicity.note(read):
        _messages.note(note)
    _messages.say(f"{output}: {counted(len(read), 'structure')}")
    _messages.say(f"next: trainspot check {output}")


def _relative(path: Path, output: Path) -> str:
    """The path relative to the folder of the campaign file; links are resolved because of `..`."""
    own = path.absolute()
    relative = os.path.relpath(own.parent.resolve() / own.name, output.absolute().parent.resolve())
    try:
        relative.encode()
    except UnicodeEncodeError:
        shown = ascii(path.name)
        hint = "rename it: a campaign file is UTF-8"
        raise InputError("has a name that is not UTF-8", where=shown, hint=hint) from None
    return relative
