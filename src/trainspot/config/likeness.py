"""Comparison of two campaigns: settings that change results, and settings that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from trainspot.common.validation import same_values
from trainspot.config.load import leaves
from trainspot.evaluate.settings import EvaluateSettings

if TYPE_CHECKING:
    from trainspot.config.document import Location
    from trainspot.config.models import Campaign

_INPUTS: Final = frozenset({"structures", "dataset"})
"""Names of input files; only the contents of the files count."""
_PRACTICAL: Final = frozenset({"name", "protocol", "resources"})


def label_essence(campaign: Campaign) -> dict[str, Any]:
    """The settings that decide the labels of a frame."""
    section = campaign.label
    settings: Any = section.settings
    return {"engine": section.engine, "code": section.code, **settings.decisive()}


def essence(campaign: Campaign) -> dict[str, Any]:
    """The settings that decide the results of a campaign, besides its start frames."""
    values = campaign.model_dump(mode="json", exclude={*_INPUTS, *_PRACTICAL})
    for stage in ("label", "train", "explore"):
        del values[stage]["max_concurrent"]
    for name in EvaluateSettings.practical:
        del values["evaluate"][name]
    settings: Any = campaign.label.settings
    values["label"]["settings"] = settings.decisive()
    return values


def differences(first: Campaign, second: Campaign) -> tuple[list[str], list[str]]:
    """Settings that differ, in two lists: settings that decide results, and other settings.

    Returns:
        Names such as ``label.ecutwfc``, in the order of the campaign file.
    """
    decisive = _differing(essence(first), essence(second))
    plain = [campaign.model_dump(mode="json", exclude=set(_INPUTS)) for campaign in (first, second)]
    return decisive, [] if decisive else _differing(*plain)


def label_differences(first: Campaign, second: Campaign) -> list[str]:
    """Settings that make labels differ, each with both values."""
    before, now = dict(leaves(label_essence(first))), dict(leaves(label_essence(second)))
    keys = _keys(before, now)
    return [f"label.{_name(k)} ({before.get(k)} → {now.get(k)})" for k in keys]


def _differing(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    before, now = dict(leaves(first)), dict(leaves(second))
    return list(dict.fromkeys(_name(key) for key in _keys(before, now)))


def _keys(before: dict[Location, Any], now: dict[Location, Any]) -> list[Location]:
    """Locations that differ; a mapping that is missing on one side is one location."""
    every = {**before, **now}
    keys = [key for key in every if not same_values(before.get(key), now.get(key))]
    return [key for key in keys if not any(key[:n] in keys for n in range(1, len(key)))]


def _name(location: Location) -> str:
    parts = [str(part) for part in location]
    return ".".join(part for n, part in enumerate(parts) if not (n == 1 and part == "settings"))
