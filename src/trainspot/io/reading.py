"""From a file to ASE structures: the choice of the reader, and one guard around all readers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ase import Atoms
from ase.io.formats import (
    PEEK_BYTES,
    UnknownFileTypeError,
    filetype,
    ioformats,
    match_magic,
)
from ase.io.ulm import InvalidULMFileError

from trainspot.common.errors import InputError, MissingExtraError
from trainspot.io import cif, database, extxyz, foreign, poscar, scf, trajectories, xyz
from trainspot.io.atoms import LOG

_SHARED: Final = frozenset({".out", ".log", ".txt", ".dat"})
"""Suffixes of outputs of many programs."""

_RAW: Final = (ValueError, IndexError, KeyError, TypeError, AttributeError, AssertionError,
               NotImplementedError, StopIteration, ArithmeticError, SyntaxError,
               InvalidULMFileError)  # fmt: skip
"""Errors of a reader for unexpected content; their messages are about the reader, not the file."""


def images(path: Path, where: str, suffix: str) -> list[Atoms]:
    """All structures of a file.

    Args:
        path: The file, unpacked; its name is used literally.
        where: The name of the file in messages.
        suffix: The suffix of the format, in small letters.

    Raises:
        InputError: There is no reader, or the reader fails; the message gives the reason if it is
            known.
        MissingExtraError: The reader needs a package that is not installed.
    """
    form = ""
    try:
        foreign.check(path, where, suffix)
        form = _form(path, suffix)
        with _warnings_as_notes(where):
            return _read(path, form, suffix, where)
    except MissingExtraError:
        raise
    except InputError as error:
        if error.where:
            raise
        raise type(error)(error.what, where=where, hint=error.hint) from error
    except OSError as error:
        if error.errno is not None:  # from the system; ASE's readers raise OSError, too
            raise
        raise _unreadable(error, form, where) from error
    except Exception as error:  # ASE's readers raise anything
        refusal = foreign.known_json(path, where) if suffix == ".json" else None
        raise refusal or _unreadable(error, form, where) from error


def _form(path: Path, suffix: str) -> str:
    """ASE's name of the format."""
    if suffix in extxyz.SUFFIXES:
        return "extxyz"
    if suffix in database.SUFFIXES:
        return "db"
    if not path.stat().st_size:
        raise InputError("is empty", hint="copy or write it again")
    if suffix == ".json":
        return "db"
    if trajectories.is_dump(path):
        return trajectories.DUMP
    try:
        form = _by_content(path) if suffix in _SHARED else ""
        form = form or filetype(str(path.absolute()))
    except UnknownFileTypeError:
        form = ""
    if form not in ioformats or not ioformats[form].can_read:
        if _begins_with_a_number(path):
            return "extxyz"
        name = f"suffix '{suffix}'" if suffix else "format"
        raise InputError(
            f"unknown {name}: ASE reads no format with this name or content",
            hint="convert it to extended XYZ, or give it the suffix of its format",
        )
    return "extxyz" if form == "xyz" else form


def _by_content(path: Path) -> str:
    """The format by a mark in the file; ASE takes any ``.out`` for an output of pw.x."""
    with path.open("rb") as handle:
        start = handle.read(PEEK_BYTES)
    try:
        return str(match_magic(start).name)
    except UnknownFileTypeError:
        return ""


def _begins_with_a_number(path: Path) -> bool:
    with path.open("rb") as handle:
        return handle.readline(64).strip().isdigit()


def _read(path: Path, form: str, suffix: str, where: str) -> list[Atoms]:
    readers: dict[str, Callable[[], list[Atoms]]] = {
        "extxyz": lambda: _xyz(path, where),
        "db": lambda: database.images(path, suffix),
        "cif": lambda: cif.images(path),
        "vasp": lambda: poscar.images(path),
        trajectories.DUMP: lambda: trajectories.lammps_images(path, where),
    }
    if form in readers:
        return readers[form]()
    if form == "vasp-xdatcar":
        poscar.check_heads(path)
    structures = scf.images(path, form, scf.default_read(path, form), where)
    if form in trajectories.DL_POLY:
        return trajectories.without_forces(structures, where, "DL_POLY")
    return structures


def _xyz(path: Path, where: str) -> list[Atoms]:
    trajectories.check_cp2k(path)
    structures = xyz.images(path, where)
    return (
        trajectories.without_energies(structures, where)
        if trajectories.is_cp2k(path)
        else structures
    )


@contextmanager
def _warnings_as_notes(where: str) -> Iterator[None]:
    """Warnings of ASE's readers become notes; a row that ASE would skip is refused."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for text in dict.fromkeys(str(w.message) for w in caught if w.category is UserWarning):
        if text.startswith("Wrong number"):  # of values in a row of a CIF, which ASE skips
            what = "the number of values in a row of a table is not its number of columns"
            raise InputError(what, hint=f"correct it: {text.partition(': ')[2][:80]}")
        LOG.warning("%s: %s", where, text)


def _unreadable(error: Exception, form: str, where: str) -> InputError:
    """The error of a reader, in words about the file."""
    # The text of a KeyError is the repr of its key, which may be a NumPy scalar.
    text = f"'{error.args[0]}'" if isinstance(error, KeyError) and error.args else str(error)
    message = " ".join(text.split())
    is_named = form in ioformats and form not in ("db", "extxyz")
    kind = f"{ioformats[form].description}: " if is_named else ""
    if isinstance(error, UnicodeDecodeError) and not (is_named and ioformats[form].isbinary):
        return InputError("is not UTF-8 text", where=where, hint="save it as UTF-8")
    if isinstance(error, ValueError) and "could not convert" in message and "'" in message:
        value = message.split("'")[1]
        reason = f"'{value[:40]}' is in the place of a number"
    elif isinstance(error, KeyError) and form in ioformats and len(message) < 16:
        reason = f"{message} is not an element, or a part is missing"
    elif "Z-matrix" in message:
        reason = "its Z-matrix cannot be read completely: write Cartesian coordinates"
    elif "resemble ASE JSON" in message:
        reason = "it is JSON, but not an ASE database"
    elif isinstance(error, _RAW) or len(message.split()) < 2:
        reason = "it is damaged, cut off, or of another format"
    else:
        reason = message.rstrip(".")
    return InputError(
        f"cannot be read as a structure ({kind}{reason})",
        where=where,
        hint="check it, or convert it to extended XYZ; --traceback shows the error of its reader",
    )
