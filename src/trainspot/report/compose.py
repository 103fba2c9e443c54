"""The report of a campaign: its page with the maps of the explored frames.

Only this module imports several subjects; ``campaign`` and ``map`` do not import each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainspot.report.campaign import page
from trainspot.report.map.explored import section
from trainspot.report.pages.skeleton import save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trainspot.report.findings.data import ReportData


def html(
    data: ReportData,
    *,
    kinetic_map: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> str:
    """The page as text: no scripts, no request to anywhere, the same for the same data.

    Args:
        data: The campaign.
        kinetic_map: Whether to draw a second map, with the kinetic SOREP descriptor of the paper;
            this takes 10 s to a minute.
        progress: Called with finished frames and all frames of the second map.
    """
    return page.html(data, section(data, kinetic_map=kinetic_map, progress=progress))


def write(
    data: ReportData,
    target: Path | str,
    *,
    kinetic_map: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the page, atomically: the file appears whole or not at all. Arguments as ``html``."""
    save(html(data, kinetic_map=kinetic_map, progress=progress), target)
