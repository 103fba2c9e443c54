"""Options that commands share: ``--seed``, ``-o``, ``--config``, ``--workers``, ``--json``.

``--config`` takes a campaign file. The keys of the section with the command's name and the
campaign's ``seed`` become the defaults of the options of the same names, so that the command line
wins. The command receives the whole resolved campaign as ``config``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from trainspot.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click.decorators import FC

    from trainspot.config.models import Campaign


class Renamed(click.Option):
    """An option that still answers to its ``former`` names, which no help text shows."""

    def __init__(self, names: Sequence[str], *, former: Sequence[str], **settings: Any) -> None:
        """Keep the former names."""
        super().__init__(names, **settings)
        self.former = list(former)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Register the former names too."""
        shown, self.opts = self.opts, [*self.opts, *self.former]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = shown


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
    section = campaign.model_dump(mode="json").get(ctx.command.name or "")
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
    help="Seed of all random numbers.",
)


def workers_option(
    text: str, *, default: int | None = 1, former: Sequence[str] = ()
) -> Callable[[FC], FC]:
    """``--workers``: how many processes work at the same time.

    Args:
        text: The help text.
        default: ``None`` lets the command choose.
        former: Names that the option had.
    """
    return click.option(
        "--workers",
        cls=Renamed,
        former=former,
        type=click.IntRange(min=1),
        default=default,
        show_default=default is not None,
        help=text,
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
    "The dataset file to write; an existing file is replaced. The suffix sets the format: .h5, "
    ".extxyz, .db or .aselmdb."
)
predictions_option = _output("The .h5 file of predictions to write; an existing file is replaced.")
folder_option = _output("The folder to write. It must be new or empty.")

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    is_eager=True,
    callback=_campaign,
    help="Take the defaults from this campaign file: its section of this stage and its seed.",
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
    help="Periodic directions, T or F for each cell vector: TTF for a sheet, FFF for a molecule. "
    "Needed where the file format cannot say it (CIF, POSCAR).",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
