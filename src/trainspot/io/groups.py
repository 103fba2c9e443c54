"""Operations of space groups from their names in any setting; the tables are from spglib."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from typing import Any, Final

import spglib

_SETTINGS: Final = 530
"""Settings of space groups, by Hall's numbers from 1."""


def setting_of(name: str) -> int:
    """Hall's number of a setting from its Hermann–Mauguin name, such as ``P 1 21/n 1``.

    A choice of origin or axes may follow: ``F d -3 m :2``; the default is the first. 0 if the name
    is unknown.
    """
    plain, _, choice = name.partition(":")
    settings = _names().get(_bare(plain), [])
    if choice.strip():
        settings = [
            hall for hall in settings if _type(hall).choice.lower() == choice.strip().lower()
        ]
    return settings[0] if settings else 0


def setting_of_hall(name: str) -> int:
    """Hall's number of a setting from its Hall name, such as ``-P 2yn``; 0 if it is unknown."""
    return _halls().get(_bare(name), 0)


def number_of(setting: int) -> int:
    """The number of the space group in the International Tables, by Hall's number."""
    return int(_type(setting).number)


def operations_of(setting: int) -> list[str]:
    """Operations in the form of a CIF, such as ``-x+1/2,y,z``, by Hall's number."""
    with _quiet():
        operations: Any = spglib.get_symmetry_from_database(setting)
    return [
        ",".join(_element(row, shift) for row, shift in zip(rotation, shifts, strict=True))
        for rotation, shifts in zip(
            operations["rotations"], operations["translations"], strict=True
        )
    ]


def _element(row: Any, shift: float) -> str:
    axes = "".join(f"{'-' if sign < 0 else '+'}{axis}"
                   for axis, sign in zip("xyz", row, strict=True) if sign)  # fmt: skip
    part = Fraction(float(shift)).limit_denominator(24)
    return (axes + (f"+{part}" if part > 0 else str(part) if part < 0 else "")).lstrip("+")


def _bare(name: str) -> str:
    return re.sub(r"[\s_]", "", name).lower()


@cache
def _type(setting: int) -> Any:
    with _quiet():
        return spglib.get_spacegroup_type(setting)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without spglib's warning that a future version will raise instead of returning ``None``."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Set OLD_ERROR_HANDLING", DeprecationWarning)
        yield


@cache
def _names() -> dict[str, list[int]]:
    """Hall's numbers by name without blanks; full names take precedence over short names."""
    full: dict[str, list[int]] = {}
    short: dict[str, list[int]] = {}
    for setting in range(1, _SETTINGS + 1):
        kind = _type(setting)
        names = {kind.international_full, *kind.international.split("=")[1:]}
        for name in names:
            full.setdefault(_bare(name), []).append(setting)
        unique = re.fullmatch(r"\s*(\w) 1 (\S+) 1\s*", kind.international_full)  # P 1 21/n 1
        short_names = {kind.international.split("=")[0], kind.international_short,
                       "".join(unique.groups()) if unique else ""}  # fmt: skip
        for name in {_bare(name) for name in short_names} - {"", *map(_bare, names)}:
            short.setdefault(name, []).append(setting)
    # P 21/n means the setting with this full name, before the other settings of P 21/c.
    return {**short, **full}


@cache
def _halls() -> dict[str, int]:
    return {_bare(_type(n).hall_symbol): n for n in range(_SETTINGS, 0, -1)}
