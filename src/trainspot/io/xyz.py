"""Extended XYZ from various programs → ASE structures; errors name the line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from ase.io.extxyz import REV_PROPERTY_NAME_MAP, read_xyz

from trainspot.common.errors import InputError
from trainspot.io import comment
from trainspot.io.atoms import LOG
from trainspot.io.lookalikes import in_other_unit, quantity_of

_PLAIN: Final = "species:S:1:pos:R:3"
_TYPES: Final = {"R": "number", "I": "whole number", "L": "logical value"}
_EXAMPLES: Final = {"R": "1.0e-3", "I": "1", "L": "T or F"}
_ENERGY: Final = re.compile(r"(?i)\benergy(?:\s*:\s*|\s+)[-+]?\d+\.\d+")  # as xtb writes it
_ELEMENTS: Final = ("species", "symbols")
_NUMBERS: Final = ("Z", "numbers")
# Other names for a cell; they count if the value has as many numbers as a cell.
_CELL: Final = re.compile(r"(unit_?)?cell(_?vectors)?|lattice_?vectors|box", re.IGNORECASE)
_LOGICAL: Final = frozenset({"T", "F", "True", "False"})


def images(path: Path, where: str = "") -> list[Atoms]:
    """All structures of a file.

    Args:
        path: The file.
        where: The name of the file in notes; by default its path.

    Raises:
        InputError: Not UTF-8 text, or a structure that cannot be read completely; the message names
            its line and number.
    """
    structures: list[Atoms] = []
    free = list[str]()
    try:
        with path.open(encoding="utf-8") as handle:
            for number, place, block in _blocks(handle, path):
                try:
                    structures.append(_atoms(block))
                    free += _ENERGY.findall(block[1])[:1]
                except InputError as error:
                    where = f"{path}:{place}, structure {number}"
                    raise InputError(error.what, where=where, hint=error.hint) from error
    except UnicodeDecodeError as error:
        where = f"{path}:{_first_bad_line(path)}"
        raise InputError("is not UTF-8 text", where=where, hint="save it as UTF-8") from error
    if free:
        LOG.warning(
            "%s: '%s' in a comment line is not a label (%s of %s structures); write energy=…, "
            "in eV", where or path, free[0].strip(), len(free), len(structures),
        )  # fmt: skip
    return structures


def _first_bad_line(path: Path) -> int:
    with path.open("rb") as handle:
        for number, line in enumerate(handle, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return number


def _blocks(handle: Any, path: Path) -> Iterator[tuple[int, int, list[str]]]:
    """The number of each structure, the line it starts on (both from 1), and its lines."""
    lines = enumerate(handle, start=1)
    entry = next(lines, None)
    number = 0
    while entry is not None:
        place, line = entry
        if not line.strip():
            entry = next(lines, None)
            continue
        number += 1
        block = [line, *(text for _, text in islice(lines, _size(line, path, place, number) + 1))]
        _check_whole(block, path, place, number)
        entry = next(lines, None)
        while entry is not None and entry[1].lstrip().startswith("VEC"):  # cell vectors, of ADF
            block.append(entry[1])
            entry = next(lines, None)
        yield number, place, block


def _size(line: str, path: Path, place: int, number: int) -> int:
    if line.strip().isascii() and line.strip().isdigit():  # ² is a digit, but not a number
        return int(line)
    raise InputError(
        f"'{line.strip()[:40]}' is not a number of atoms",
        where=f"{path}:{place}, structure {number}",
        hint="a structure begins with its number of atoms, alone on a line",
    )


def _check_whole(block: list[str], path: Path, place: int, number: int) -> None:
    if len(block) < int(block[0]) + 2:
        raise InputError(
            f"has {max(0, len(block) - 2)} of its {int(block[0])} atoms",
            where=f"{path}:{place}, structure {number}",
            hint="the file is cut off, or the number is wrong",
        )


def _atoms(block: list[str]) -> Atoms:
    """One structure.

    Raises:
        InputError: Some data of the structure cannot be read or would be ignored.
    """
    line, size = block[1].strip(), int(block[0])
    info = comment.parse(line)
    columns = _columns(info)
    rows = block[2 : 2 + size]
    _check_widths(rows, sum(width for *_, width in columns), info)
    _check_logical(rows, columns)
    _check_elements(rows, columns)
    if len(block) == 2 + size:  # no cell vectors of ADF
        _check_cell(info)
    try:
        [atoms] = read_xyz(
            StringIO("".join(block)), slice(None), properties_parser=lambda _: dict(info)
        )
    except (ValueError, KeyError, TypeError, IndexError, OverflowError, OSError) as error:
        raise _explained(rows, columns) from error
    return atoms


def _columns(info: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """Name, type and width of the columns of the atoms."""
    text = str(info.get("Properties", _PLAIN))
    fields = text.split(":")
    columns = list(zip(fields[::3], fields[1::3], fields[2::3], strict=False))
    is_whole = len(fields) % 3 == 0 and all(
        kind in ("S", *_TYPES) and width.isdigit() and int(width) for _, kind, width in columns
    )
    names = [name for name, *_ in columns]
    widths = {name: width for name, _, width in columns}
    has_places = any(widths.get(name) == "3" for name in ("pos", "positions"))
    has_elements = any(widths.get(n) == "1" for n in ("species", "symbols", "Z", "numbers"))
    if not (is_whole and has_places and has_elements) or len(set(names)) < len(names):
        hint = f"list name:type:width of each column once, such as {_PLAIN}:REF_forces:R:3"
        raise InputError(f"Properties={text[:80]} cannot be read", hint=hint)
    meant: dict[str, str] = {}  # ASE's name of each column; ASE keeps only the last of equal names
    for name in names:
        earlier = meant.setdefault(REV_PROPERTY_NAME_MAP.get(name, name), name)
        if earlier != name:
            hint = "rename one of them, or remove it"
            raise InputError(f"columns '{earlier}' and '{name}' are the same quantity", hint=hint)
    return [(name, kind, int(width)) for name, kind, width in columns]


def _check_widths(rows: list[str], expected: int, info: Mapping[str, Any]) -> None:
    """Refuse atoms with other columns than declared: undeclared columns would be lost."""
    # Fast, and sufficient: if one row is too long and another too short, ASE refuses the latter.
    if len(" ".join(rows).split()) == expected * len(rows):
        return
    widths = [len(row.split()) for row in rows]
    wrong = next((place for place, width in enumerate(widths) if width != expected), None)
    if wrong is None:
        return
    what = f"atom {wrong + 1} has {widths[wrong]} columns, {expected} are "
    if "Properties" in info:
        raise InputError(f"{what}declared", hint="correct Properties=… in the comment line")
    if widths[wrong] < expected:
        raise InputError(f"{what}needed", hint="an element and three coordinates")
    energies = [
        name
        for name, value in info.items()
        if quantity_of(name, value, len(rows)) and not in_other_unit(name)
    ]
    advice = f", and call '{energies[0]}' REF_energy" if energies else ""
    raise InputError(
        f"{what}read",
        hint=f"declare the others in the comment line, such as Properties={_PLAIN}:REF_forces:R:3"
        + advice,
    )


def _check_logical(rows: list[str], columns: list[tuple[str, str, int]]) -> None:
    """Refuse logical values other than T and F, which ASE would read as false."""
    start = 0
    for name, kind, width in columns:
        if kind == "L":
            for place, row in enumerate(rows):
                for word in row.split()[start : start + width]:
                    if word not in _LOGICAL:
                        raise _not(name, word, kind, place)
        start += width


def _check_elements(rows: list[str], columns: list[tuple[str, str, int]]) -> None:
    """Refuse atoms whose symbol is not that of their atomic number."""
    starts: dict[str, int] = {}
    start = 0
    for name, _, width in columns:
        starts[name] = start
        start += width
    symbols = next((starts[name] for name in _ELEMENTS if name in starts), None)
    numbers = next((starts[name] for name in _NUMBERS if name in starts), None)
    if symbols is None or numbers is None:
        return
    for place, row in enumerate(rows):
        words = row.split()
        if len(words) <= max(symbols, numbers):  # ASE's reader refuses this row
            continue
        symbol, number = words[symbols], words[numbers]
        meant = atomic_numbers.get(symbol.capitalize())
        if meant is not None and number.isdecimal() and int(number) != meant:
            raise InputError(
                f"atom {place + 1} has the symbol {symbol}, but the atomic number {number}",
                hint="correct one of them, or remove the column of numbers",
            )


def _check_cell(info: Mapping[str, Any]) -> None:
    """Refuse a cell under another name: the structure would become a molecule."""
    if "Lattice" in info:
        return
    for name, value in info.items():
        if _CELL.fullmatch(name) and isinstance(value, np.ndarray) and value.size in (3, 6, 9):
            raise InputError(
                f"'{name}' is not read as a cell: in extended XYZ a cell is Lattice",
                hint='write Lattice="…" with nine numbers, the rows of the vectors, or remove it',
            )


def _not(name: str, word: str, kind: str, place: int) -> InputError:
    hint = f"write it as {_EXAMPLES[kind]}, or declare another type in Properties"
    return InputError(
        f"atom {place + 1}, column '{name}': '{word}' is not a {_TYPES[kind]}", hint=hint
    )


def _explained(rows: list[str], columns: list[tuple[str, str, int]]) -> InputError:
    """The reason why ASE's reader failed."""
    for place, row in enumerate(rows):
        words = iter(row.split())
        for name, kind, width in columns:
            for word in islice(words, width):
                if kind in ("R", "I") and not _converts(word, kind):
                    return _not(name, word, kind, place)
                if name in _ELEMENTS and word.capitalize() not in atomic_numbers:
                    isotope = word.capitalize() in ("D", "T")
                    hint = "write H, and its mass in a column masses:R:1" if isotope else ""
                    return InputError(
                        f"atom {place + 1}: unknown element '{word}'",
                        hint=hint or "write the symbol of an element",
                    )
    texts = [name for name, kind, _ in columns if kind == "S" and name not in _ELEMENTS]
    if texts:
        hint = "give it numbers and the type R, or another name"
        return InputError(f"column '{texts[0]}' is declared as text", hint=hint)
    return InputError("its columns cannot be read", hint="correct Properties=… or the columns")


def _converts(word: str, kind: str) -> bool:
    try:
        float(word) if kind == "R" else np.int32(word)
    except (ValueError, OverflowError):
        return False
    return True
