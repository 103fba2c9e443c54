"""The frames of a campaign for ``trainspot map``. That command needs no AiiDA for files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_trainspot.results.find import find
from aiida_trainspot.runtime.profile import load

if TYPE_CHECKING:
    from trainspot.data.dataset import Dataset


def campaign(identifier: str, profile: str | None) -> tuple[str, Dataset, Dataset | None]:
    """Name, dataset and explored frames of a campaign.

    Raises:
        MissingExtraError: AiiDA is not installed.
        InputError: No such campaign or profile.
    """
    load(profile)
    from aiida_trainspot.results.campaign import explored, latest_dataset

    node = find(identifier)
    return node.label or identifier, latest_dataset(node), explored(node)
