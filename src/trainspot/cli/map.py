"""``trainspot map``: draw a map of the frames of a campaign or a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from trainspot.cli import _messages
from trainspot.cli.options import seed_option, workers_option
from trainspot.cli.progress import counting
from trainspot.common import processes
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
    help="The file to write: a page (.html), a figure (.png, .svg), or coordinates with frame ids "
    "(.json, .csv).",
)
@click.option(
    "--descriptor",
    type=click.Choice(["structural", "sorep"]),
    default="structural",
    show_default=True,
    help="What makes frames similar: the neighbours of their atoms (structural), or the spectrum "
    "of the kinetic energy (sorep).",
)
@click.option(
    "--method",
    type=click.Choice(["tsne", "umap", "pca"]),
    default="tsne",
    show_default=True,
    help="How the descriptors are reduced to two dimensions.",
)
@click.option(
    "--colour",
    metavar="KEY",
    help="Colour the frames by iteration, strategy, split, status, energy, atoms or a key of their "
    "metadata. Default: the first of these in which frames differ.",
)
@click.option(
    "--explored",
    type=click.Path(path_type=Path),
    help="If TARGET is a file: a second file, with frames that were explored and not selected.",
)
@click.option(
    "--max-atoms",
    type=click.IntRange(min=2),
    help="Leave out frames with more atoms. Default: 256 for sorep, else no limit.",
)
@click.option(
    "--max-frames",
    type=click.IntRange(min=2),
    help="Draw at most this number of frames, chosen at random. Default: 1000 for sorep, else "
    "3000.",
)
@workers_option(
    "Processes that compute sorep at the same time. Default: one per core.",
    default=None,
    former=["--jobs"],
)
@seed_option
@click.option(
    "-p",
    "--profile",
    envvar="TRAINSPOT_PROFILE",
    help="If TARGET is a campaign: its AiiDA profile.",
)
@click.option("--json", "as_json", is_flag=True, help="Also print the coordinates as JSON.")
def map(  # noqa: A001  the command is looked up by the name of its module
    target: str,
    output: Path,
    colour: str | None,
    explored: Path | None,
    max_atoms: int | None,
    max_frames: int | None,
    workers: int | None,
    profile: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Draw the frames of TARGET in two dimensions, with similar frames close together.

    TARGET is a file of frames (.h5, or any file that ASE reads) or a campaign (its identifier or
    name). A file needs no AiiDA.
    """
    from trainspot.maps import chart
    from trainspot.maps.choice import Limits
    from trainspot.report.map import page

    page.check_output(output)
    chart.check(options["descriptor"], options["method"])
    name, dataset, met = _frames(target, explored, profile)
    if colour is not None:
        chart.check_colour(colour, dataset, *([met] if met is not None else []))
    options |= {"limits": Limits(max_atoms, max_frames), "workers": workers or processes.cores()}
    with counting("map") as progress:
        frame_map = chart.make(dataset, explored=met, progress=progress, **options)
    key = colour or frame_map.automatic()
    frame_map.values(key)  # an unknown colour is an error before the output is written
    page.write(frame_map, output, key, name)
    for note in frame_map.notes:
        _messages.note(str(note))
    if as_json:
        click.echo(frame_map.to_json(key), nl=False)
    else:
        click.echo(
            f"map: {counted(len(frame_map), 'frame')}, {frame_map.title}, by {key}: {output}"
        )


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
            "--explored is for files", where=target, hint="a campaign has its explored frames"
        )
    try:
        campaign = plugins.load("trainspot.campaigns", "aiida")
        loaded: tuple[str, Dataset, Dataset | None] = campaign(target, profile)
    except InputError as error:
        raise InputError(
            f"neither a file nor a campaign ({error.what})", where=target, hint=error.hint
        ) from error
    return loaded
