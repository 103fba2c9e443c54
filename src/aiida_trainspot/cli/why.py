"""``trainspot why``: explain why a frame was labelled or not."""

from __future__ import annotations

import json

import click

from aiida_trainspot.results.find import find
from aiida_trainspot.runtime.profile import load, profile_option
from trainspot.cli.options import json_option


@click.command()
@click.argument("identifier", metavar="ID")
@click.argument("frame", metavar="FRAME")
@profile_option
@json_option
def why(identifier: str, frame: str, profile: str | None, as_json: bool) -> None:
    """Explain why campaign ID labelled FRAME, or did not label it.

    FRAME is the id of a frame. Its first digits are enough if no other id begins with them.
    """
    load(profile)
    from aiida_trainspot.results.campaign import failures, history, latest_dataset
    from trainspot.cli._why import as_json as content_of
    from trainspot.cli._why import in_words
    from trainspot.judge import why as pure

    node = find(identifier)
    account = pure.why(frame, history(node), latest_dataset(node), failures(node))
    if as_json:
        click.echo(json.dumps(content_of(account), indent=2, ensure_ascii=False))
        return
    for line in in_words(account):
        click.echo(line)
