"""CIF files of databases and diffractometers: isotopes, unknown occupancies, unusual labels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers
from ase.io.cif import CIFBlock, old_spacegroup_names, parse_cif
from ase.spacegroup import Spacegroup
from ase.spacegroup.spacegroup import SpacegroupError, SpacegroupNotFoundError

from trainspot.common.errors import InputError
from trainspot.io import groups
from trainspot.io.atoms import LOG

_OCCUPANCY: Final = "_atom_site_occupancy"
_SYMBOL, _LABEL = "_atom_site_type_symbol", "_atom_site_label"
_COORDINATES: Final = frozenset(
    f"_atom_site_{kind}_{axis}" for kind in ("fract", "cartn") for axis in "xyz"
)
_NUMBERS: Final = ("_space_group.it_number", "_space_group_it_number",
                   "_symmetry_int_tables_number")  # fmt: skip
_NAMES: Final = ("_space_group_name_h-m_alt", "_symmetry_space_group_name_h-m",
                 "_space_group.patterson_name_h-m")  # fmt: skip
_HALL: Final = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
_OPERATION: Final = re.compile(r"[-+xyz\d./\s]+(,[-+xyz\d./\s]+){2}", re.IGNORECASE)
_SETTINGS: Final = ("_symmetry_space_group_setting", "_space_group_crystal_system",
                    "_symmetry_cell_setting")  # fmt: skip
_OPERATIONS: Final = ("_space_group_symop_operation_xyz", "_space_group_symop.operation_xyz",
                      "_symmetry_equiv_pos_as_xyz")  # fmt: skip
_UNKNOWN: Final = ("?", ".")
_ISOTOPES: Final = {"D": 2.01410177812, "T": 3.0160492779}
"""Masses of the hydrogen isotopes with symbols of their own, u (AME2020)."""


def images(path: Path) -> list[Atoms]:
    """The structure of every block that has one.

    Sites of deuterium and tritium become hydrogen with the mass of the isotope. An unknown
    occupancy is 1, as in the CIF dictionary.

    Raises:
        InputError: A site of an unknown element, or an occupancy that is not a number.
    """
    with path.open("rb") as handle:
        blocks = [_repaired(block) for block in parse_cif(handle)]
    return [_atoms(block) for block in blocks if block.has_structure()]


def _repaired(block: CIFBlock) -> CIFBlock:
    tags = dict(block)
    if _OCCUPANCY in tags:
        sites = _listed(tags[_OCCUPANCY])
        tags[_OCCUPANCY] = [_share(value, place) for place, value in enumerate(sites)]
    for key in (_SYMBOL, _LABEL):
        if key in tags:
            tags[key] = [str(value) for value in _listed(tags[key])]
    return CIFBlock(block.name, tags)


def _with_group(block: CIFBlock) -> CIFBlock:
    """The block with a space group that ASE knows, by name or by its operations.

    Raises:
        InputError: The block has neither, or names and number contradict each other.
    """
    tags = {k: v for k, v in block.items() if k not in (*_NUMBERS, *_NAMES) or v not in _UNKNOWN}
    operations = [text for name in _OPERATIONS for text in _listed(tags.get(name, []))]
    for text in operations:
        if not _OPERATION.fullmatch(str(text)):
            hint = "write it as in '-x+1/2,y,z'"
            raise InputError(f"'{str(text)[:40]}' is not a symmetry operation", hint=hint)
    try:
        if not operations:
            tags = _named(tags)
        CIFBlock(block.name, tags).get_spacegroup(subtrans_included=True)
    except (SpacegroupError, ValueError, AssertionError) as error:
        names = [str(tags[name]) for name in (*_NAMES, *_NUMBERS) if name in tags]
        if not operations:
            hint = f"give its operations, as {_OPERATIONS[0]}"
            raise InputError(f"unknown space group '{', '.join(names)}'", hint=hint) from error
        tags = _by_operations(tags, operations)
    return CIFBlock(block.name, tags)


def _named(tags: dict[str, Any]) -> dict[str, Any]:
    """The tags of a block without operations, with a space group that ASE reads correctly.

    ASE ignores Hall's name, and uses the first setting of a number even if the name is another.

    Raises:
        InputError: Names and number contradict each other, or Hall's name is unknown.
    """
    names = [str(tags[name]) for name in _NAMES if name in tags]
    numbers = [int(tags[name]) for name in _NUMBERS if name in tags]
    halls = [str(tags[name]) for name in _HALL if tags.get(name, "?") not in _UNKNOWN]
    hall = groups.setting_of_hall(halls[0]) if halls else 0
    setting = groups.setting_of(names[0]) if names else 0
    meant = {groups.number_of(number) for number in (hall, setting) if number}
    if meant and len(meant | set(numbers[:1])) > 1:
        contradiction = ", ".join([*halls[:1], *names[:1], *map(str, numbers[:1])])
        hint = f"give the operations, as {_OPERATIONS[0]}"
        raise InputError(f"its space group is contradictory: {contradiction}", hint=hint)
    if hall or (setting and not _ase_knows(names[0])):
        return _by_operations(tags, groups.operations_of(hall or setting))
    if setting:
        return {name: value for name, value in tags.items() if name not in _NUMBERS}
    if numbers and (halls or names):
        LOG.warning(
            "space group '%s' is not known: the first setting of number %s is taken",
            (halls or names)[0], numbers[0],
        )  # fmt: skip
    elif halls and not names:
        raise InputError(f"unknown space group '{halls[0]}'", hint=f"give {_OPERATIONS[0]}")
    return tags


def _ase_knows(name: str) -> bool:
    try:
        Spacegroup(old_spacegroup_names.get(name, name))
    except SpacegroupNotFoundError:
        return False
    return True


def _by_operations(tags: dict[str, Any], operations: list[Any]) -> dict[str, Any]:
    """The tags with operations instead of a name; ASE adds them to the operations of P 1."""
    group_tags = (*_NUMBERS, *_NAMES, *_SETTINGS, *_OPERATIONS)
    rest = {name: value for name, value in tags.items() if name not in group_tags}
    return rest | {_NUMBERS[1]: 1, _OPERATIONS[0]: operations}


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _share(value: Any, place: int) -> float:
    if value in _UNKNOWN:
        return 1.0
    try:
        return float(value)
    except (TypeError, ValueError):
        hint = "write the share of the site, between 0 and 1"
        raise InputError(
            f"site {place + 1}: occupancy '{value}' is not a number", hint=hint
        ) from None


def _check_numbers(block: CIFBlock) -> None:
    """Refuse cells and coordinates that are not numbers, and fractions without a cell."""
    places = [key for key in block if key in _COORDINATES]
    if any("fract" in key for key in places):
        for tag in CIFBlock.cell_tags:
            value = block.get(tag)
            if not isinstance(value, int | float):
                what = "is missing" if value is None else f"'{value}' is not a number"
                raise InputError(f"{tag} {what}", hint="give the whole cell")
    labels = _listed(block.get(_LABEL, []))
    for key in places:
        for place, value in enumerate(_listed(block[key])):
            if not isinstance(value, int | float):
                site = labels[place] if place < len(labels) else place + 1
                hint = "give it, or remove the site"
                raise InputError(f"site {site}: {key} '{value}' is not a number", hint=hint)


def _atoms(block: CIFBlock) -> Atoms:
    _check_numbers(block)
    tags = dict(block)
    key = _SYMBOL if _SYMBOL in tags else _LABEL
    masses = {}
    symbols = []
    for place, (label, symbol) in enumerate(_symbols(tags, key)):
        if symbol in _ISOTOPES and (key == _SYMBOL or symbol == "D"):
            masses[place] = _ISOTOPES[symbol]
            symbol = "H"  # noqa: PLW2901
        if symbol not in atomic_numbers or symbol == "X":
            hint = f"give its element in {_SYMBOL}"
            raise InputError(f"site {label}: unknown element '{symbol or label}'", hint=hint)
        symbols.append(symbol)
    block = CIFBlock(block.name, {**tags, key: symbols})
    atoms = (_with_group(block) if block.get_cell().rank else block).get_atoms()
    if masses:
        sites = atoms.arrays.get("spacegroup_kinds", np.arange(len(atoms)))
        usual = atomic_masses[atoms.numbers]
        values = [masses.get(int(site), mass) for site, mass in zip(sites, usual, strict=True)]
        atoms.set_masses(values)
    return atoms


def _symbols(tags: dict[str, Any], key: str) -> Iterator[tuple[str, str]]:
    """Label and symbol of every site."""
    labels = tags.get(_LABEL, tags[key])
    for label, text in zip(labels, tags[key], strict=False):
        symbol = re.search(r"[A-Z][a-z]?", text)
        yield label, symbol.group() if symbol else ""
