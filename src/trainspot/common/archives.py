"""Zip archives, which numpy and torch write: whether one is whole."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def is_whole(path: Path) -> bool:
    """Whether a file is a zip archive from its beginning to its end; never raises.

    Python's own test is not enough: a model of MACE holds archives, and what is left of one that
    was cut off behind such an archive passes for an archive with something in front of it.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return min((entry.header_offset for entry in archive.infolist()), default=0) == 0
    except (OSError, zipfile.BadZipFile):
        return False
