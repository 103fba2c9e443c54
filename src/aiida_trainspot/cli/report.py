"""``trainspot report``: write a page with figures about a campaign."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_trainspot.results.find import find
from aiida_trainspot.runtime.profile import load, profile_option
from trainspot.cli.progress import counting
from trainspot.common.errors import InputError


@click.command()
@click.argument("identifier", metavar="ID")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    help="The .html page to write.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Also write the numbers behind the page into this folder.",
)
@click.option(
    "--kinetic-map",
    is_flag=True,
    help="Draw a second map, by the kinetic SOREP descriptor of the paper; takes 10 s to a minute.",
)
@profile_option
def report(
    identifier: str, output: Path, data: Path | None, kinetic_map: bool, profile: str | None
) -> None:
    """Write a page with figures about campaign ID, which may still run."""
    if not output.absolute().parent.is_dir():
        raise InputError("no such folder", where=str(output.parent), hint="make it first")
    load(profile)
    from aiida_trainspot.results.campaign import collect
    from trainspot.report import compose

    content = collect(find(identifier))
    with counting("report") as progress:
        compose.write(content, output, kinetic_map=kinetic_map, progress=progress)
    click.echo(f"report: {output}")
    if data is not None:
        content.write(data)
        click.echo(f"data: {data}")
