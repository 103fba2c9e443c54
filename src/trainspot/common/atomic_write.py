"""Files that appear complete or not at all, and errors with the name of the file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_ERRNO: Final = re.compile(r"errno = (\d+)")


@contextmanager
def replacing(target: Path | str) -> Iterator[Path]:
    """A scratch file to fill; it replaces ``target`` when the block ends without an error.

    Args:
        target: Path of the final file; an older file of this name stays if the block fails.

    Raises:
        OSError: The folder cannot be written, or the disk is full; no partial file stays. Libraries
            often do not name the file, so this error names the target.
    """
    path = Path(target)
    scratch = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        scratch.unlink(missing_ok=True)
        yield scratch
        scratch.replace(path)
    except OSError as error:
        if error.errno is None or error.filename not in {None, str(scratch)}:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
    except RuntimeError as error:  # HDF5, when it closes a file that it could not write
        if (number := _ERRNO.search(str(error))) is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
    finally:
        scratch.unlink(missing_ok=True)
