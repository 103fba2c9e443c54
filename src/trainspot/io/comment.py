"""The comment line of extended XYZ files from various sources, as a dictionary or one clear error.

This module splits the line, because in ASE's parser an empty value, an apostrophe or an open quote
swallows the next entries. ASE's parser then converts values to numbers. Values that ASE would
misread are converted before: nested brackets, ``None`` for a label, special names in small letters,
texts that look like numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from ase.io.extxyz import UNPROCESSED_KEYS, key_val_str_to_dict

from trainspot.common.errors import InputError
from trainspot.common.text import is_number
from trainspot.io.atoms import TEXT_KEYS
from trainspot.io.labels import NOTHING, REF, symmetric

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')
_WORD = re.compile(r"[^\s=]+")
_EQUALS = re.compile(r"\s*=")
# Another entry after blanks.
_NEXT = re.compile(r"\s+(?:\"(?:[^\"\\]|\\.)*\"|[^\s=\"'\[{][^\s=]*)\s*=")
_VALUE = re.compile(r"\S*")
_CLOSING: Final = {"{": "}", "[": "]"}
_SPECIAL: Final = {"lattice": "Lattice", "properties": "Properties", "pbc": "pbc"}
_MATRICES: Final = ("Lattice", "stress", "virial")  # ASE wants nine numbers
_LABELS: Final = frozenset({*REF, *REF.values(), "free_energy", "virial"})
# 007 and 1_000 are names, not numbers; so is a value larger than any double, such as 12e4567.
_NOT_A_NUMBER = re.compile(r"[-+]?0\d+|\d+(?:_\d+)+")


class Token(NamedTuple):
    """One entry of a comment line: its name, and its unchanged value (``None`` for a flag)."""

    key: str
    value: str | None
    text: str


def tokens(line: str) -> Iterator[Token]:
    """The entries of a comment line, in order.

    Quotes and brackets group characters only at the start of a name or value; within a word they
    are ordinary characters.

    Raises:
        InputError: An open quote or bracket, or a value without a name.
    """
    line = line.strip()
    place = 0
    while place < len(line):
        if line[place].isspace():
            place += 1
            continue
        end = _end_of_key(line, place)
        key, equals = line[place:end], _EQUALS.match(line, end)
        if equals is None:
            yield Token(_bare(key), None, key)
        else:
            start, end = _span_of_value(line, equals.end(), key)
            yield Token(_bare(key), line[start:end], line[place:end])
        place = end


def _end_of_key(line: str, place: int) -> int:
    quoted = _QUOTED.match(line, place)
    if quoted:
        return quoted.end()
    if line[place] in "\"'" and "=" in line[place:]:  # harmless in free text
        raise _open(line[place:])
    word = _WORD.match(line, place)
    if word is None:
        raise InputError(f"'{line[place : place + 40]}' has no name", hint="write name=value")
    return word.end()


def _span_of_value(line: str, place: int, key: str) -> tuple[int, int]:
    """Start and end of a value, which is empty if the next entry follows."""
    if place == len(line) or _NEXT.match(line, place):
        return place, place
    while line[place].isspace():
        place += 1
    first = line[place]
    if first in "\"'":
        quoted = _QUOTED.match(line, place)
        if quoted is None:
            raise _open(f"{key}={line[place:]}")
        end = quoted.end()
        if line[end : end + 1].strip(" \t,;") and not re.match(r"[A-Za-z_]\w*=", line[end:]):
            what = f"{quoted.group()[:40]} is followed by '{line[end : end + 20]}'"
            raise InputError(what, hint="write a quote within a text as \\' or \\\"")
        return place, end
    word = _VALUE.match(line, place)
    assert word is not None
    if first not in _CLOSING:
        return place, word.end()
    end = _end_of_group(line, place)
    if not end:
        raise _open(f"{key}={line[place:]}")
    # Brackets within a word are part of the word, as in a SMILES.
    return place, word.end() if line[end : end + 1].strip() else end


def _end_of_group(line: str, place: int) -> int:
    """Position after the closing bracket, outside quotes; 0 if there is none."""
    opening, closing = line[place], _CLOSING[line[place]]
    depth, at = 0, place
    while at < len(line):
        quoted = _QUOTED.match(line, at) if line[at] == '"' else None
        if quoted:
            at = quoted.end()
            continue
        depth += (line[at] == opening) - (line[at] == closing)
        at += 1
        if not depth:
            return at
    return 0


def _open(text: str) -> InputError:
    hint = "close its quote or bracket, or put the whole value in double quotes"
    return InputError(f"{text[:60]} is never closed", hint=hint)


def parse(line: str) -> dict[str, Any]:
    """The entries of a comment line with values of plain types.

    Raises:
        InputError: A duplicate entry, or a value that does not fit its name.
    """
    info: dict[str, Any] = {}
    texts: dict[str, str | None] = {}
    for token in tokens(line):
        name = _SPECIAL.get(token.key.lower(), token.key)
        if name in texts and texts[name] != token.value:
            raise InputError(f"'{token.key}' is given twice", hint="remove one of them")
        texts[name] = token.value
        if token.value is None:
            if name in _MATRICES:
                raise InputError(f"'{name}' has no value", hint="correct it, or remove it")
            info[name] = True
            continue
        bare = _bare(token.value)
        if name not in _LABELS or bare.strip().lower() not in NOTHING:
            info[name] = _value(name, token.value, bare)
    if "pbc" in info and not _is_pbc(info["pbc"]):
        hint = 'write T or F for each cell vector, such as pbc="T T F"'
        raise InputError(f"pbc={texts['pbc']} is not a periodicity", hint=hint)
    return info


def _value(name: str, text: str, bare: str) -> Any:
    """The value of a text, in a plain type."""
    if name in _MATRICES:
        value = _by_ase(name, _nine(name, bare))  # by columns
        return symmetric(name, value.T) if name == "stress" else value
    quoted = bare != text or not text
    if not bare or (name in TEXT_KEYS and quoted) or (name not in _LABELS and _is_name(bare)):
        return bare
    if not quoted and text[0] in _CLOSING and _end_of_group(text, 0) == len(text):
        inner = text[1:-1]
        if text[0] == "[" and "[" in inner:
            return _array(name, text)
        value = _by_ase(name, inner)
        return text if isinstance(value, str) or text == "{}" else value
    return _by_ase(name, bare)


def _by_ase(name: str, bare: str) -> Any:
    """A value from ASE's parser; a text that is not a number stays unchanged."""
    escaped = bare.replace("\\", "\\\\").replace('"', '\\"')
    key = name if name in _MATRICES or name.lower() in UNPROCESSED_KEYS else "value"
    try:
        value = key_val_str_to_dict(f'{key}="{escaped}"')[key]
    except (ValueError, IndexError, KeyError):
        what = f"{name}={bare[:60]} cannot be read"
        raise InputError(what, hint="correct it, or remove it") from None
    return value.item() if isinstance(value, np.generic) else value


def _bare(text: str) -> str:
    """A name or value without its quotes."""
    if _QUOTED.fullmatch(text):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _is_name(bare: str) -> bool:
    if _NOT_A_NUMBER.fullmatch(bare):
        return True
    # Larger than any double, but not the word for infinity: for example a hash.
    return bool(re.fullmatch(r"[-+]?\d+[eE]\d+", bare)) and np.isinf(float(bare))


def _is_pbc(value: Any) -> bool:
    entries = np.asarray(value)
    return entries.shape in ((), (3,)) and all(
        entry in (0, 1) for entry in entries.ravel().tolist()
    )


def _array(name: str, text: str) -> Any:
    """A value in nested brackets: an array of numbers, or lists of other values."""
    try:
        value = json.loads(text)
    except ValueError:
        hint = "write it in JSON, or as numbers in quotes"
        raise InputError(f"{name}={text[:60]} is not an array", hint=hint) from None
    try:
        array = np.array(value)
    except ValueError:  # rows of unlike lengths
        return value
    return array if array.dtype.kind in "biuf" else value


def _nine(name: str, bare: str) -> str:
    """Nine numbers, row by row; six numbers of a stress are in Voigt order."""
    words = re.sub(r"[\[\]{},;]", " ", bare).split()
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        wrong = next(word for word in words if not is_number(word))
        raise InputError(f"{name}: '{wrong}' is not a number", hint="give nine numbers") from None
    if name == "stress" and len(words) == 6:
        xx, yy, zz, yz, xz, xy = words
        words = [xx, xy, xz, xy, yy, yz, xz, yz, zz]
    elif name == "virial" and len(numbers) == 6:
        hint = "give the nine numbers of its matrix: the order of six numbers is unknown"
        raise InputError(f"{name} has 6 numbers", hint=hint)
    if len(words) != 9:
        counted = f"{len(words)} number{'s' * (len(words) != 1)}"
        hint = "give nine: the rows of its matrix, one after the other"
        raise InputError(f"{name} has {counted}", hint=hint)
    return " ".join(words)
