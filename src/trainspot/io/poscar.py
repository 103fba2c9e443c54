"""POSCAR: what a comment line or a wrong count would make of it is refused, the rest is ASE's."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import ase.io
from ase import Atoms
from ase.data import atomic_numbers

from trainspot.errors import InputError

_COUNTS: Final = 5  # line with the elements, or in files of VASP 4 with the counts, from 0


def images(path: Path) -> list[Atoms]:
    """The structure of a POSCAR or CONTCAR.

    Raises:
        InputError: No line with the elements, or not as many coordinates as the counts say.
    """
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    _check(lines)
    found = ase.io.read(str(path.absolute()), format="vasp", do_not_split_by_at_sign=True)
    assert isinstance(found, Atoms)
    return [found]


def _check(lines: list[str]) -> None:
    words = [line.split() for line in lines]
    if len(lines) <= _COUNTS + 1 or not words[_COUNTS]:
        what = "cannot be read as a structure: it has no counts of atoms"
        raise InputError(what, hint="a POSCAR has them on its seventh line")
    place = _COUNTS
    if not words[place][0].isdigit():
        for word in words[place]:
            if word.startswith(("!", "#")):
                break
            symbol = word.partition("/")[0].partition("_")[0]
            if symbol not in atomic_numbers or symbol == "X":
                hint = "write the symbols of the elements above the counts"
                raise InputError(f"line {place + 1}: unknown element '{word}'", hint=hint)
        place += 1
    elif words[0][: len(words[place])] != words[0] or not _are_elements(words[0], words[place]):
        raise InputError(
            "has no line with the elements, as files of VASP 4",
            hint="add a line with the elements above the counts",
        )
    _check_counts(words, place)


def _are_elements(first: list[str], counts: list[str]) -> bool:
    """Whether the comment consists of as many elements as there are counts, and of nothing else."""
    return len(first) == len(counts) and all(word in atomic_numbers for word in first)


def _check_counts(words: list[list[str]], place: int) -> None:
    counts = []
    for word in words[place]:
        if word.startswith(("!", "#")):
            break
        if not word.isdigit():
            raise InputError(f"line {place + 1}: '{word}' is no count of atoms")
        counts.append(int(word))
    following = words[place + 1 :]
    if following and following[0] and following[0][0][:1].lower() == "s":
        following = following[1:]
    coordinates = following[1:]
    whole = 0
    for row in coordinates:
        if len(row) < 3 or not all(map(_is_number, row[:3])):
            break
        whole += 1
    if whole != sum(counts):
        hint = "correct the counts, or the coordinates"
        raise InputError(f"has {whole} coordinates for {sum(counts)} atoms", hint=hint)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
