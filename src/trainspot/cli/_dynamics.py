"""The options of ``trainspot explore``: runs, settings and frames."""

from __future__ import annotations

from typing import Any

import click

from trainspot.cli import _messages
from trainspot.common.errors import RunError
from trainspot.common.text import counted
from trainspot.common.validation import parse_settings
from trainspot.config import document
from trainspot.data.dataset import Dataset
from trainspot.data.failure import reason_of
from trainspot.explore import schedule as scheduling
from trainspot.explore.ase import AseExplorer, AseSettings


class Range(click.ParamType):
    """A number, or LOW:HIGH (in a campaign file a list of two); converts to a pair."""

    name = "number or LOW:HIGH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, float]:
        """Cut at the colon; a single number is both ends."""
        parts = value.split(":") if isinstance(value, str) else value
        if isinstance(parts, int | float):
            parts = [parts]
        try:
            low, high = (float(part) for part in (parts if len(parts) > 1 else [*parts, *parts]))
        except (TypeError, ValueError):
            self.fail(f"'{value}' is neither a number nor LOW:HIGH.", param, ctx)
        return low, high


def mobile(starts: Dataset) -> Dataset:
    """The frames without isolated atoms, which cannot move, if there are others."""
    movable = starts.take(starts.n_atoms > 1)
    if not len(movable) or len(movable) == len(starts):
        return starts
    alone = counted(len(starts) - len(movable), "isolated atom")
    _messages.note(f"{alone} left out: one atom alone has nothing to explore")
    return movable


def runs_of(starts: Dataset, options: dict[str, Any]) -> list[scheduling.Run]:
    """The runs of the schedule file, or one from every frame.

    Raises:
        InputError: The file is not a schedule, or the options make no sense together.
    """
    if options["schedule_file"] is not None:
        return scheduling.read(options["schedule_file"])
    values = {n: options[n] for n in scheduling.Plan.model_fields if n in options}
    plan = parse_settings(scheduling.Plan, {**values, "starts": starts.ids})
    return scheduling.schedule(starts, plan, options["seed"])


def settings_of(options: dict[str, Any]) -> AseSettings:
    """Settings of the engine ase: those of the campaign file, overridden by the settings file.

    Raises:
        InputError: Unknown keys or impossible values.
    """
    path, config = options["settings_file"], options["config"]
    same = config is not None and config.explore.engine == AseExplorer.name
    raw = config.explore.settings.model_dump() if same else {}
    overrides = document.read(path).data if path else {}
    return parse_settings(AseSettings, raw | overrides, where=str(path or "settings"))


def refuse_failures(failures: Dataset, runs: int) -> None:
    """End with an error if a run failed and --failures is not given.

    Raises:
        RunError: A run failed.
    """
    if len(failures):
        first = failures[0]
        raise RunError(
            f"{len(failures)} of {runs} runs failed",
            where=f"frame {first.id[:12]}",
            hint=reason_of(first),
        )
