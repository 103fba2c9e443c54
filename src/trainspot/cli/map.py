"""``trainspot map``: a picture of what a campaign or a file of frames covers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainspot.cli.options import seed_option
from trainspot.cli.progress import counting
from trainspot.common.errors import InputError
from trainspot.common.text import counted

if TYPE_CHECKING:
    from trainspot.data.dataset import Dataset


@click.command
@click.argument("target")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("map.html"),
    show_default=True,
    help="A page (.html), a figure (.png, .svg), or coordinates with frame ids (.json, .csv).",
)
@click.option(
    "--descriptor",
    type=click.Choice(["structural", "sorep"]),
    default="structural",
    show_default=True,
    help="What similarity means: the surroundings of atoms, or the kinetic-energy spectrum.",
)
@click.option(
    "--method",
    type=click.Choice(["tsne", "umap", "pca"]),
    default="tsne",
    show_default=True,
    help="How the plane is found.",
)
@click.option(
    "--colour",
    metavar="KEY",
    help="iteration, strategy, split, status, energy, atoms, or a key of the frames' metadata; "
    "default: the first of these in which frames differ.",
)
@click.option(
    "--explored",
    type=click.Path(path_type=Path),
    help="For a file: another with frames that were met and not chosen.",
)
@click.option(
    "--max-atoms",
    type=click.IntRange(min=2),
    help="Larger frames are left out; default: 256 for sorep, else no limit.",
)
@click.option(
    "--max-frames",
    type=click.IntRange(min=2),
    help="Of more frames some are drawn at random; default: 3000, or 1000 for sorep.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes for sorep; default: all cores.")
@seed_option
@click.option(
    "-p",
    "--profile",
    envvar="TRAINSPOT_PROFILE",
    help="For a campaign: the AiiDA profile it is in.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the coordinates as JSON too.")
def map(  # noqa: A001  the command is looked up by the name of its module
    target: str,
    output: Path,
    colour: str | None,
    explored: Path | None,
    max_atoms: int | None,
    max_frames: int | None,
    jobs: int | None,
    profile: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Draw the frames of TARGET in a plane, similar ones near each other.

    TARGET is a file of frames (.h5, or anything ASE reads), which needs no AiiDA, or a campaign:
    its identifier or its name.
    """
    from trainspot.maps import chart
    from trainspot.maps.choice import Limits
    from trainspot.report.map import page

    page.check_output(output)
    chart.check(options["descriptor"], options["method"])
    name, dataset, met = _frames(target, explored, profile)
    if colour is not None:
        chart.check_colour(colour, dataset, *([met] if met is not None else []))
    options |= {"limits": Limits(max_atoms, max_frames), "jobs": jobs or _cores()}
    with counting("map") as progress:
        found = chart.make(dataset, explored=met, progress=progress, **options)
    key = colour or found.automatic()
    found.values(key)  # refuses what nobody knows before anything is written
    page.write(found, output, key, name)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if as_json:
        click.echo(found.to_json(key), nl=False)
    else:
        click.echo(f"map: {counted(len(found), 'frame')}, {found.title}, by {key}: {output}")


def _frames(
    target: str, explored: Path | None, profile: str | None
) -> tuple[str, Dataset, Dataset | None]:
    """Name, dataset and explored frames of a file or, if there is no such file, of a campaign."""
    from trainspot import io
    from trainspot.common import plugins

    path = Path(target)
    if path.is_file():
        return path.name, io.read(path), None if explored is None else io.read(explored)
    if os.sep in target or path.suffix in io.SUFFIXES:
        raise InputError("no such file", where=target)
    if explored is not None:
        raise InputError(
            "--explored goes with a file", where=target, hint="a campaign knows what it explored"
        )
    try:
        campaign = plugins.load("trainspot.campaigns", "aiida")
        found: tuple[str, Dataset, Dataset | None] = campaign(target, profile)
    except InputError as error:
        raise InputError(
            f"neither a file nor a campaign ({error.what})", where=target, hint=error.hint
        ) from error
    return found


def _cores() -> int:
    """Cores this process may use."""
    has = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if has else os.cpu_count() or 1
