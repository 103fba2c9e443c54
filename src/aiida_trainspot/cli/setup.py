"""``trainspot setup``: set up AiiDA, codes and pseudopotentials on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiida_trainspot.runtime.profile import profile_option
from trainspot.cli.options import json_option
from trainspot.common.errors import InputError, RunError

if TYPE_CHECKING:
    from aiida_trainspot.setup import Finding

_COLOUR = {"found": "green", "made": "cyan", "missing": "yellow"}


@click.command()
@profile_option
@click.option(
    "--workers", type=click.IntRange(1, 64), help="Workers of the AiiDA daemon. Default: 2."
)
@click.option("--no-install", is_flag=True, help="Do not install Quantum ESPRESSO with pip.")
@click.option(
    "--demo-pseudos",
    is_flag=True,
    help="Generate pseudopotentials for demonstrations (Al, C, Si) instead of SSSP.",
)
@click.option(
    "--sssp-archive",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Install SSSP from this file of 'aiida-pseudo install sssp --download-only'.",
)
@json_option
def setup(
    profile: str | None,
    workers: int | None,
    no_install: bool,
    demo_pseudos: bool,
    sssp_archive: Path | None,
    as_json: bool,
) -> None:
    """Set up everything that a campaign on this machine needs.

    Finds or makes the AiiDA profile, the daemon, the codes and the pseudopotentials, and says what
    is missing. Can be repeated at any time.
    """
    if sssp_archive is not None and not sssp_archive.is_file():
        raise InputError("no such file", where=str(sssp_archive))
    from aiida_trainspot.setup import Options
    from aiida_trainspot.setup import setup as run

    options = Options(profile, workers, not no_install, demo_pseudos, sssp_archive)
    findings = []
    for finding in run(options):
        findings.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        click.echo(json.dumps([finding.to_dict() for finding in findings], indent=2))
    missing = [finding.item for finding in findings if finding.state == "missing"]
    if "daemon" in missing:
        raise RunError("the daemon does not run", hint=findings[-1].hint)
    if not as_json:
        click.echo("next: trainspot init STRUCTURE writes campaign.yaml")


def _show(finding: Finding) -> None:
    state = click.style(f"{finding.state:8}", fg=_COLOUR[finding.state])
    click.echo(f"{finding.item:20}{state}{finding.detail}")
    if finding.hint:
        click.echo(f"{'':28}{finding.hint}")
