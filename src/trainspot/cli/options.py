"""Options that the stage commands share: ``--seed``, ``-o``, ``--config``, ``--json``.

``--config`` takes a campaign file. The keys of the command's own section (``md`` reads
``explore``) and the campaign's ``seed`` become the defaults of the options of the same names, so
that the command line wins; the command receives the whole resolved campaign as ``config``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from trainspot.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.decorators import FC

    from trainspot.config.models import Campaign

_SECTION_OF_COMMAND = {"md": "explore"}


def writable(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """Refuse an output that cannot be written before anything is computed."""
    del ctx, param
    if value is not None and not value.absolute().parent.is_dir():
        raise InputError("no such folder", where=str(value.parent), hint="make it first")
    return value


def _campaign(ctx: click.Context, param: click.Parameter, value: Path | None) -> Campaign | None:
    """Load the campaign file and make its section the defaults of the command's options."""
    del param
    if value is None:
        return None
    from trainspot.config.load import load

    campaign = load(value, need_inputs=False).campaign
    name = ctx.command.name or ""
    section = campaign.model_dump(mode="json").get(_SECTION_OF_COMMAND.get(name, name))
    flat = section if isinstance(section, dict) else {}
    ctx.default_map = {
        "seed": campaign.seed,
        # `start` says how in a campaign file, and names model files on the command line.
        **{key: v for key, v in flat.items() if v is not None and key != "start"},
    }
    return campaign


def given(name: str) -> bool:
    """Whether the user wrote this option on the command line of the running command."""
    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.COMMANDLINE


seed_option = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Everything random follows from this number.",
)


def _output(text: str) -> Callable[[FC], FC]:
    return click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        required=True,
        callback=writable,
        help=text,
    )


output_option = _output(
    "The dataset to write, or to replace; the suffix decides: .h5, .extxyz, .db or .aselmdb."
)
predictions_option = _output("The predictions to write, or to replace: .h5.")
folder_option = _output("The folder to write; it must be empty or new.")

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    is_eager=True,
    callback=_campaign,
    help="Campaign file; its section for this stage gives the defaults.",
)


def _periodic(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    del ctx, param
    if value is None:
        return None
    from trainspot.io.periodic import parse_periodic

    return parse_periodic(value)


periodic_option = click.option(
    "--periodic",
    metavar="TTF",
    callback=_periodic,
    help="Which cell vectors are periodic, T or F each, where the file cannot say it: TTF for a "
    "sheet, FFF for a molecule.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
