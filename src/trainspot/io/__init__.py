"""Files ⇄ ``Dataset``: reads all formats of ASE, writes without loss, in the format of the suffix.

``.h5`` is our layout (``hdf5``), ``.extxyz``, ``.db`` and ``.aselmdb`` are for other programs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from trainspot.common.atomic_write import replacing
from trainspot.common.errors import DataError, InputError, RunError
from trainspot.common.properties import PROPERTIES
from trainspot.common.text import counted
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.io import database, extxyz, foreign, reading, source
from trainspot.io.atoms import LOG, from_ase, to_ase
from trainspot.io.extxyz import write as write_extxyz
from trainspot.io.images import from_images
from trainspot.io.labels import REF_ENERGY, REF_FORCES, REF_STRESS
from trainspot.io.mapping import parse_map
from trainspot.io.periodic import parse_periodic, with_periodicity

__all__ = [
    "REF_ENERGY",
    "REF_FORCES",
    "REF_STRESS",
    "SUFFIXES",
    "check_output",
    "check_theory",
    "counts",
    "from_ase",
    "from_images",
    "merged",
    "opened",
    "parse_map",
    "parse_periodic",
    "read",
    "tell_counts",
    "to_ase",
    "with_atoms",
    "with_periodicity",
    "with_theory",
    "write",
    "write_extxyz",
]

SUFFIXES: Final = (hdf5.SUFFIX, *extxyz.SUFFIXES, *database.SUFFIXES)
"""Suffixes of files that can be written."""


def read(
    path: Path | str, *, theory: str = "", mapping: Mapping[str, str] | None = None
) -> Dataset:
    """Frames of a file: our HDF5, or any format ASE reads (all images).

    The name is used literally. Every frame is checked, because the file may be damaged or changed.
    Notes for the user go to the logger ``trainspot.io``.

    Args:
        path: The file; ``.h5`` is our format. It may be packed (.gz, .bz2, .xz).
        theory: Level of theory of labels that come without one.
        mapping: Values under other names that are labels, see ``mapping.parse_map``.

    Raises:
        InputError: The file is missing, unreadable or empty, contains an unusable structure, or
            data that would be ignored.
        DataError: An HDF5 file is foreign or damaged; the message names the frame.
    """
    path = _existing(path)
    try:
        with source.plain(path) as copy:
            try:
                return _read(copy, path, theory, mapping or {})
            except InputError as error:
                if copy == path:
                    raise
                raise source.moved(error, copy, path) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(f"cannot be read: {reason}", where=str(path)) from error


def _read(copy: Path, path: Path, theory: str, mapping: Mapping[str, str]) -> Dataset:
    where = str(path)
    if source.suffix_of(path) == hdf5.SUFFIX:
        dataset = hdf5.checked_frames(hdf5.read(copy), str(copy))
        if not mapping:
            return with_atoms(with_theory(dataset, theory))
        images = [to_ase(frame) for frame in dataset]
    else:
        images = reading.images(copy, where, source.suffix_of(path))
    if not images:
        raise InputError("contains no structure", where=where)
    dataset = from_images(images, theory=theory, where=where, mapping=mapping)
    return with_atoms(dataset)


@contextmanager
def opened(
    path: Path | str, *, theory: str = "", mapping: Mapping[str, str] | None = None
) -> Iterator[Dataset]:
    """Frames of a file; lazily for our own format, otherwise at once; see ``read``.

    Raises:
        InputError: As ``read``.
        DataError: As ``read``.
    """
    path = _existing(path)
    if path.suffix.lower() == hdf5.SUFFIX and not mapping:
        with hdf5.opened(path) as dataset:
            checked = hdf5.checked_frames(dataset, str(path))
            yield with_atoms(with_theory(checked, theory))
    else:
        yield read(path, theory=theory, mapping=mapping)


def counts(dataset: Dataset) -> dict[str, int]:
    """How many frames there are, and how many have an energy, forces and a stress."""
    flags = {name: dataset.column(f"has_{name}") for name in PROPERTIES}
    return {"frames": len(dataset), **{name: int(flag.sum()) for name, flag in flags.items()}}


def tell_counts(frames_or_counts: Dataset | Mapping[str, int], where: Path | str) -> None:
    """Log how many frames of a file have an energy, forces and a stress; see ``counts``."""
    content = frames_or_counts
    numbers = counts(content) if isinstance(content, Dataset) else dict(content)
    frames = counted(numbers.pop("frames"), "frame")
    labels = ", ".join(f"{number} with {name}" for name, number in numbers.items())
    LOG.info("%s: %s, %s", where, frames, labels if any(numbers.values()) else "no labels")


def check_theory(dataset: Dataset, theory: str, where: str) -> None:
    """Refuse to give a level of theory to a dataset with labels of another level.

    Raises:
        InputError: The labels have another level of theory.
    """
    theories = sorted(dataset.counts("theory").keys() - {"", theory})
    if theory and theories:
        raise InputError(
            f"is already labelled at the level of theory '{theories[0]}', not '{theory}'",
            where=where,
            hint="give no other name",
        )


def with_theory(dataset: Dataset, theory: str) -> Dataset:
    """The same frames; labels without a level of theory get this one."""
    if not theory:
        return dataset
    names = dataset.column("theory").copy()
    flags = [dataset.column(name) for name in ("has_energy", "has_forces", "has_stress")]
    nameless = (names == b"") & np.any(flags, axis=0)
    if not nameless.any():
        return dataset
    theories = [theory if new else old for old, new in zip(names.tolist(), nameless, strict=True)]
    return dataset.with_columns(theory=theories)


def merged(dataset: Dataset, where: str, *, tell: Callable[[str], object] | None = None) -> Dataset:
    """The frames of a file, each once; see ``Dataset.merge``.

    Raises:
        DataError: Copies contradict each other; the message names file and frames.
    """
    try:
        return dataset.merge(tell=tell)
    except DataError as error:
        place = ", ".join(filter(None, (where, error.where)))
        raise DataError(error.what, where=place, hint=error.hint) from None


def with_atoms(dataset: Dataset) -> Dataset:
    """The same frames; isolated atoms with an energy also get forces, which are zero by symmetry.

    Files rarely contain these forces, and without them the atom would count as unlabelled.
    """
    has_forces = dataset.column("has_forces")
    bare = dataset.is_isolated & dataset.column("has_energy") & ~has_forces
    return dataset.with_columns(has_forces=has_forces | bare) if bare.any() else dataset


def write(dataset: Dataset, path: Path | str) -> None:
    """Write a dataset in the format of the suffix, see ``SUFFIXES``; complete or not at all.

    Raises:
        InputError: Another suffix.
        DataError: The format cannot store something without loss (HDF5 can).
        MissingExtraError: The extra for ``.aselmdb`` files is not installed.
        OSError, RunError: The folder cannot be written, or the disk is full.
    """
    path = Path(path)
    _check_suffix(path)
    if path.suffix.lower() == hdf5.SUFFIX:
        hdf5.write(dataset, path)
        return
    with replacing(path) as scratch:
        if path.suffix.lower() in extxyz.SUFFIXES:
            with scratch.open("w", encoding="utf-8") as handle:
                extxyz.write(handle, dataset)
            return
        try:
            database.write(scratch, dataset)
        except database.failures() as error:
            raise RunError(f"cannot be written ({error})", where=str(path)) from error
        finally:
            scratch.with_name(f"{scratch.name}-lock").unlink(missing_ok=True)  # of LMDB


def check_output(path: Path | str) -> Path:
    """A path that ``write`` accepts; check it before long work.

    Raises:
        InputError: Unknown suffix, or the folder does not exist.
    """
    path = Path(path)
    _check_suffix(path)
    if not path.parent.is_dir():
        raise InputError("no such folder", where=str(path.parent))
    return path


def _check_suffix(path: Path) -> None:
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"unknown dataset suffix '{path.suffix}'",
            where=str(path),
            hint=f"use one of {', '.join(SUFFIXES)}",
        )


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if path.is_dir():
        foreign.check_folder(path)
    if not path.is_file():
        raise InputError("no such file", where=str(path))
    return path
