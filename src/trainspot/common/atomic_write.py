"""Files that appear whole or not at all, and errors that name them."""

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
    """A scratch file to fill; it takes the place of ``target`` when the block ends without error.

    Args:
        target: What is wanted; an older file of this name stays if something fails.

    Raises:
        OSError: The folder cannot be written, or the disk is full; no partial file stays. Libraries
            often do not say of which file, so the error names the target.
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
    except RuntimeError as error:  # HDF5, when it closes what it could not write
        if (number := _ERRNO.search(str(error))) is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
    finally:
        scratch.unlink(missing_ok=True)
