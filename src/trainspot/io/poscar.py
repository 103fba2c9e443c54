"""POSCAR: refuses files that ASE would misread through a comment or wrong count; ASE reads it."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Final

import ase.io
from ase import Atoms
from ase.data import atomic_numbers

from trainspot.common.errors import InputError
from trainspot.common.text import counted, is_number

_COUNTS: Final = 5  # line with the elements, or in files of VASP 4 with the counts, from 0


def images(path: Path) -> list[Atoms]:
    """The structure of a POSCAR or CONTCAR.

    Raises:
        InputError: No line with the elements, a number of counts or coordinates that does not fit,
            or another structure after the first.
    """
    text = _text(path)
    _check(text.splitlines())
    structure = ase.io.read(StringIO(text), format="vasp")
    assert isinstance(structure, Atoms)
    return [structure]


def _text(path: Path) -> str:
    """The text of a file; only its comment may contain characters beyond ASCII."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return "\n".join(text.splitlines()) + "\n"


def _check(lines: list[str]) -> None:
    words = [line.split() for line in lines]
    if len(lines) <= _COUNTS + 1 or not words[_COUNTS]:
        what = "cannot be read as a structure: it has no counts of atoms"
        raise InputError(what, hint="a POSCAR has them on its seventh line")
    place = _COUNTS
    elements: list[str] | None = None
    if not words[place][0].isdigit():
        elements = _uncommented(words[place])
        for word in elements:
            symbol = word.partition("/")[0].partition("_")[0]
            if symbol not in atomic_numbers or symbol == "X":
                hint = "write the symbols of the elements above the counts"
                raise InputError(f"line {place + 1}: unknown element '{word}'", hint=hint)
        place += 1
    elif words[0][: len(words[place])] != words[0] or not _are_elements(words[0], words[place]):
        raise InputError(
            "has no line with the elements, like files of VASP 4",
            hint="add a line with the elements above the counts",
        )
    counts = _counts(words[place], place)
    if elements is not None:
        _check_pairs(elements, counts, place)
    _check_coordinates(words, place, sum(counts))


def check_heads(path: Path) -> None:
    """Refuse an XDATCAR whose counts do not fit its elements; ASE would drop some of them.

    Raises:
        InputError: The numbers of counts and elements differ.
    """
    words = [line.split() for line in _text(path).splitlines()]
    for place in range(_COUNTS, len(words) - 1):
        if _is_head(words[place - _COUNTS :][: _COUNTS + 1]) and words[place][0].isalpha():
            counts = _counts(words[place + 1], place + 1)
            _check_pairs(_uncommented(words[place]), counts, place + 1)


def _check_pairs(elements: list[str], counts: list[int], place: int) -> None:
    """Refuse counts, on the line ``place`` from 0, unless there is one for each element."""
    if len(elements) != len(counts):
        raise InputError(
            f"line {place} has {counted(len(elements), 'element')}, and line {place + 1} "
            f"{counted(len(counts), 'count')} of atoms",
            hint="give one count for each element",
        )


def _uncommented(words: list[str]) -> list[str]:
    place = next((n for n, word in enumerate(words) if word.startswith(("!", "#"))), len(words))
    return words[:place]


def _are_elements(first: list[str], counts: list[str]) -> bool:
    """Whether the comment consists of elements only, one for each count."""
    return len(first) == len(counts) and all(word in atomic_numbers for word in first)


def _counts(words: list[str], place: int) -> list[int]:
    counts = _uncommented(words)
    for word in counts:
        if not (word.isascii() and word.isdigit()):
            raise InputError(f"line {place + 1}: '{word}' is not a count of atoms")
    return [int(word) for word in counts]


def _check_coordinates(words: list[list[str]], place: int, size: int) -> None:
    following = words[place + 1 :]
    if following and following[0] and following[0][0][:1].lower() == "s":
        following = following[1:]
    coordinates = following[1:]
    complete = 0
    for row in coordinates:
        if len(row) < 3 or not all(map(is_number, row[:3])):
            break
        complete += 1
    if complete != size:
        hint = "correct the counts, or the coordinates"
        raise InputError(f"has {complete} coordinates for {size} atoms", hint=hint)
    start = len(words) - len(coordinates) + complete
    for number in range(start, len(words)):
        if _is_head(words[number:]):
            raise InputError(
                f"has another structure from line {number + 1} on, but a POSCAR holds one",
                hint="split it into a file for each structure",
            )


def _is_head(words: list[list[str]]) -> bool:
    """Whether a POSCAR begins here: comment, scale, three vectors, elements and counts."""
    if len(words) <= _COUNTS:
        return False
    scale, vectors, last = words[1], words[2:_COUNTS], words[_COUNTS]
    sizes = len(scale) in (1, 3) and all(len(row) == 3 for row in vectors)
    if not sizes or not all(is_number(word) for row in (scale, *vectors) for word in row):
        return False
    has_elements = bool(last) and last[0].partition("/")[0].partition("_")[0] in atomic_numbers
    return has_elements or (bool(last) and all(word.isdigit() for word in last))
