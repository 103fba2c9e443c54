"""A pool: a file of frames from which a campaign draws frames, or in which it looks up labels."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from trainspot import io
from trainspot.common.errors import InputError

if TYPE_CHECKING:
    from trainspot.data.dataset import Dataset

_DIGITS: Final = 12


def read_pool(path: Path | str) -> Dataset:
    """The frames of a file, each once, with labels of one level of theory.

    Labels without a level of theory get one of their own, ``pool-`` and a digest of ids and
    energies: two files without names are never taken for the same level of theory.

    Args:
        path: Any file of ``io.read``; the result is kept in memory until the file changes.

    Raises:
        InputError: No such file, no frame, or labels of several levels of theory.
        DataError: The file is damaged, or copies of a frame contradict each other.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError("no such file", where=str(file))
    facts = file.stat()
    return _read(str(file), facts.st_mtime_ns, facts.st_size)


@lru_cache(maxsize=2)
def _read(name: str, _changed: int, _size: int) -> Dataset:
    frames = io.merged(io.read(name), name)
    if not len(frames):
        raise InputError("no frames", where=name)
    return checked(frames, name)


def checked(frames: Dataset, where: str) -> Dataset:
    """Frames whose labels have one level of theory, which has a name; see ``read_pool``.

    Raises:
        InputError: The labels have several levels of theory.
    """
    theories = frames.theories
    if len(theories) > 1:
        names = ", ".join(f"'{name}'" if name else "not named" for name in theories)
        raise InputError(
            f"has labels of several levels of theory ({names})",
            where=where,
            hint="put the labels of one level of theory into a file of their own",
        )
    return io.with_theory(frames, f"pool-{_digest(frames)}") if theories == [""] else frames


def _digest(frames: Dataset) -> str:
    """A digest of ids and energies that does not depend on the order of the frames."""
    labelled = frames.labelled()
    energies = labelled.column("energy").tolist()
    pairs = sorted(zip(labelled.ids, energies, strict=True))
    text = "\n".join(f"{identity} {energy!r}" for identity, energy in pairs)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
