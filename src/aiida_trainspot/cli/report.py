"""``trainspot report``: one self-contained page of a campaign."""

from __future__ import annotations

from pathlib import Path

import click

from aiida_trainspot.runtime.profile import find, load, profile_option
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
    help="The page.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the numbers and arrays behind the page in this folder too.",
)
@profile_option
def report(identifier: str, output: Path, data: Path | None, profile: str | None) -> None:
    """Write a page with figures about campaign ID, finished or running."""
    if not output.absolute().parent.is_dir():
        raise InputError("no such folder", where=str(output.parent), hint="make it first")
    load(profile)
    from aiida_trainspot.results.campaign import collect
    from trainspot.report.campaign import page

    found = collect(find(identifier))
    with counting("report") as progress:
        page.write(found, output, progress)
    click.echo(f"report: {output}")
    if data is not None:
        found.write(data)
        click.echo(f"data: {data}")
