"""The comment line of extended XYZ, as people write it: to a dictionary, or one clear error.

ASE's parser does the work. Before it, what it would misread or stumble over is made plain: nested
brackets, ``None`` for a label, special names in small letters, numbers that are texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from ase.io.extxyz import key_val_str_to_dict

from trainspot.errors import InputError
from trainspot.io.atoms import TEXT_KEYS
from trainspot.io.labels import NOTHING, REF

_DOUBLE, _SINGLE = r'"(?:[^"\\]|\\.)*"', r"'(?:[^'\\]|\\.)*'"
_FLAT = r"\[[^\[\]]*\]"
_MATRIX = rf"\[(?:[^\[\]]|{_FLAT})*\]"
_TENSOR = rf"\[(?:[^\[\]]|{_MATRIX})*\]"
# One `key` or `key=value`; a value in quotes or brackets may hold blanks and further keys.
_TOKEN = re.compile(
    rf"""\s*({_DOUBLE}|[^\s="']+)(?:\s*=\s*({_DOUBLE}|{_SINGLE}|\{{[^}}]*\}}|{_TENSOR}|\S*))?"""
)
_SPECIAL: Final = {"lattice": "Lattice", "properties": "Properties", "pbc": "pbc"}
_MATRICES: Final = ("Lattice", "stress", "virial")  # ASE wants nine numbers
_LABELS: Final = frozenset({*REF, *REF.values(), "free_energy", "virial"})
# 007 and 1_000 are names, not numbers; so is what is larger than any double, such as 12e4567.
_NOT_A_NUMBER = re.compile(r"[-+]?0\d+|\d+(?:_\d+)+")


class Token(NamedTuple):
    """One entry of a comment line: its name, and its value as written (``None`` for a flag)."""

    key: str
    value: str | None
    text: str


def tokens(line: str) -> Iterator[Token]:
    """The entries of a comment line, in order."""
    place = 0
    while found := _TOKEN.match(line, place):
        key, value = found.groups()
        yield Token(_bare(key), value, found.group().strip())
        place = found.end()
    if rest := line[place:].strip():  # a quote that is never closed, say
        yield Token("", None, rest)


def parse(line: str) -> dict[str, Any]:
    """The entries of a comment line with values of plain types.

    Raises:
        InputError: An entry that is given twice, or cannot be what its name says.
    """
    pieces: list[str] = []
    values: dict[str, Any] = {}  # those that ASE's parser would change or not understand
    seen: dict[str, str | None] = {}
    for token in tokens(line):
        name = _SPECIAL.get(token.key.lower(), token.key)
        if name in seen and seen[name] != token.value:
            raise InputError(f"'{token.key}' is given twice", hint="remove one of them")
        seen[name] = token.value
        if token.value is None:
            pieces.append(token.text)
            continue
        bare = _bare(token.value)
        if name in _LABELS and bare.strip().lower() in NOTHING:
            continue
        quoted = token.value[:1] == '"' and len(token.value) > 1
        if (name in TEXT_KEYS and quoted) or (name not in _LABELS and _is_name(bare)):
            values[name] = bare
        if token.value.startswith("[") and "[" in token.value[1:] and name not in _MATRICES:
            values[name] = _array(name, token.value)
        else:
            pieces.append(_plain(token, name, bare))
    info: dict[str, Any] = _by_ase(pieces) | values
    if "pbc" in info and not _is_pbc(info["pbc"]):
        hint = 'write T or F for each cell vector, such as pbc="T T F"'
        raise InputError(f"pbc={seen['pbc']} is no periodicity", hint=hint)
    for key, value in info.items():
        if isinstance(value, np.generic):
            info[key] = value.item()
    return info


def _by_ase(pieces: list[str]) -> dict[str, Any]:
    """ASE's parser on all entries; the one it cannot read is named."""
    try:
        found: dict[str, Any] = key_val_str_to_dict(" ".join(pieces))
    except (ValueError, IndexError, KeyError):
        for piece in pieces:
            try:
                key_val_str_to_dict(piece)
            except (ValueError, IndexError, KeyError):
                key, equals, value = piece.partition("=")
                what = f"{key}={value[:60]} cannot be read" if equals else f"'{key}' has no value"
                raise InputError(what, hint="correct it, or remove it") from None
        raise
    return found


def _bare(text: str) -> str:
    """A value without its quotes."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _is_name(bare: str) -> bool:
    if _NOT_A_NUMBER.fullmatch(bare):
        return True
    # Larger than any number, but not called infinite: a hash, say.
    return bool(re.fullmatch(r"[-+]?\d+[eE]\d+", bare)) and np.isinf(float(bare))


def _is_pbc(value: Any) -> bool:
    entries = np.asarray(value)
    return entries.shape in ((), (3,)) and all(
        entry in (0, 1) for entry in entries.ravel().tolist()
    )


def _array(name: str, text: str) -> Any:
    """A value in nested brackets: an array of numbers, or lists of anything else."""
    try:
        found = json.loads(text)
    except ValueError:
        hint = "write it in JSON, or as numbers in quotes"
        raise InputError(f"{name}={text[:60]} is no array", hint=hint) from None
    try:
        array = np.array(found)
    except ValueError:  # rows of unlike lengths
        return found
    return array if array.dtype.kind in "biuf" else found


def _plain(token: Token, name: str, bare: str) -> str:
    """The entry as ASE reads it right."""
    assert token.value is not None
    if name in _MATRICES:
        return f'{name}="{_nine(name, bare)}"'
    if name != token.key:
        return f"{name}={token.value}"
    return token.text


def _nine(name: str, bare: str) -> str:
    """Nine numbers in the order of the rows; six of a stress are Voigt's."""
    words = re.sub(r"[\[\]{},;]", " ", bare).split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        wrong = next(word for word in words if not _is_number(word))
        raise InputError(f"{name}: '{wrong}' is no number", hint="give nine numbers") from None
    if name == "stress" and len(words) == 6:
        xx, yy, zz, yz, xz, xy = words
        words = [xx, xy, xz, xy, yy, yz, xz, yz, zz]
    elif name == "virial" and len(numbers) == 6:
        hint = "give the nine numbers of its matrix: of six the order is not known"
        raise InputError(f"{name} has 6 numbers", hint=hint)
    if len(words) != 9:
        counted = f"{len(words)} number{'s' * (len(words) != 1)}"
        hint = "give nine: the rows of its matrix, one after the other"
        raise InputError(f"{name} has {counted}", hint=hint)
    return " ".join(words)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
