"""``trainspot config``: show all settings of a campaign, the JSON schema, the protocols."""

from __future__ import annotations

import json
from pathlib import Path

import click

from trainspot.cli.options import json_option


@click.group()
def config() -> None:
    """Show all settings of a campaign file, its JSON schema, and the protocols."""


@config.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def show(file: Path, as_json: bool) -> None:
    """Print every setting of the campaign in FILE: key, value, and where the value comes from."""
    from trainspot.config.load import load

    loaded = load(file)
    if as_json:
        rows = [
            {"key": ".".join(map(str, location)), "value": value, "source": source}
            for location, value, source in loaded.values()
        ]
        resolved = loaded.campaign.model_dump(mode="json")
        click.echo(json.dumps({"campaign": resolved, "values": rows}, indent=2, ensure_ascii=False))
        return
    table = [
        (".".join(map(str, location)), json.dumps(value, ensure_ascii=False), source)
        for location, value, source in loaded.values()
    ]
    wide = [min(max(len(row[column]) for row in table), 60) for column in (0, 1)]
    for key, value, source in table:
        click.echo(f"{key:{wide[0]}}  {value:{wide[1]}}  {click.style(source, dim=True)}")


@config.command()
def schema() -> None:
    """Print the JSON schema of campaign files, which editors use to check and complete keys."""
    from trainspot.config.schema import schema as make

    click.echo(json.dumps(make(), indent=2, ensure_ascii=False))


@config.command()
@json_option
def protocols(as_json: bool) -> None:
    """List the protocols: named sets of defaults."""
    from trainspot.config.load import protocols as all_protocols

    descriptions = all_protocols()
    if as_json:
        click.echo(json.dumps(descriptions, indent=2, ensure_ascii=False))
        return
    for name, description in descriptions.items():
        click.echo(f"{name:12}{description}")
