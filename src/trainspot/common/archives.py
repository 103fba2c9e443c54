"""Zip archives, which numpy and torch write: whether a file is complete."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def is_whole(path: Path) -> bool:
    """Whether a file is a zip archive from its beginning to its end; never raises.

    Python's own test is not enough. A MACE model contains archives. If the file is cut off behind
    an inner archive, Python takes the rest for an archive that follows other data.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return min((entry.header_offset for entry in archive.infolist()), default=0) == 0
    except (OSError, zipfile.BadZipFile):
        return False
