"""Implementations behind the seams, found by entry point.

A seam is an entry-point group such as ``trainspot.label``; adding an implementation is a package
with an entry point and changes no list here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from trainspot.common.errors import MissingExtraError, UnknownNameError

# Which extra brings a third-party module that an implementation of ours imports.
_EXTRA_OF_MODULE = {
    "aiida": "aiida",
    "aiida_lammps": "aiida",
    "aiida_pseudo": "quantumespresso",
    "aiida_quantumespresso": "quantumespresso",
    "ase_db_backends": "lmdb",
    "featomic": "descriptors",
    "fpsample": "descriptors",
    "lammps": "lammps",
    "mace": "mace",
    "metatensor": "descriptors",
    "pyscf": "map",
    "sklearn": "map",
    "tblite": "tblite",
    "threadpoolctl": "map",
    "torch": "mace",
    "umap": "umap",
}


def names(group: str) -> list[str]:
    """The sorted names registered in an entry-point group."""
    return sorted({point.name for point in _registered(entry_points, group)})


def load(group: str, name: str, *, where: str = "") -> Any:
    """The object registered as ``name`` in ``group``.

    Raises:
        UnknownNameError: No such name; the message offers the nearest.
        MissingExtraError: The name is known, its dependency is not installed.
    """
    found = [point for point in _registered(entry_points, group) if point.name == name]
    if not found:
        raise UnknownNameError(_kind(group), name, names(group), where=where)
    try:
        return found[0].load()
    except ModuleNotFoundError as error:
        extra = extra_for(error)
        if extra is None:
            raise
        raise MissingExtraError(f"{_kind(group)} '{name}'", extra) from error


def _kind(group: str) -> str:
    """What a seam is called in messages; those named by a verb have engines."""
    words = group.removeprefix("trainspot.").replace("_", " ")
    return f"{words} engine" if words in {"label", "train", "explore"} else words


@functools.cache
def _registered(find: Callable[..., Any], group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group, looked up once: it takes tens of milliseconds."""
    return tuple(find(group=group))


def extra_for(error: ModuleNotFoundError) -> str | None:
    """The extra of ours that brings the module an import did not find, if one does."""
    return _EXTRA_OF_MODULE.get((error.name or "").partition(".")[0])
