"""Values of an ASE structure that look like labels by their names and shapes.

A value under another name that looks like a missing label is never ignored: the error contains the
command ``trainspot convert --map`` that makes it a label.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from trainspot.common.errors import InputError
from trainspot.common.properties import WORDS
from trainspot.data.frames import Labels
from trainspot.io.labels import CALCULATOR, KEEP, REF, command, is_nothing, size_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ENERGY = re.compile(
    r".*energ(y|ie).*|e_?tot(al)?|tot(al)?_?e|tot_?en|toten|e_?pot|pe|e_?(dft|ref|qm|pbe|scan)"
    r"|(dft|ref|qm|pbe|scan)_?e",
    re.IGNORECASE,
)
_FORCES = re.compile(r".*(force|gradient).*|f|frc|f_?xyz|grads?|f_?(dft|ref|qm)|(dft|ref|qm)_?f",
                     re.IGNORECASE)  # fmt: skip
_STRESS = re.compile(r".*(stress|virial|pressure_?tensor).*", re.IGNORECASE)
_PATTERNS = {"energy": _ENERGY, "forces": _FORCES, "stress": _STRESS}
# A name with one of these parts is another quantity, or a property of a label.
_OTHER = re.compile(
    r"cutoff|unit|weight|sigma0|hull|fermi|kinetic|zero_?point|zpe|shift|err|std|dev|uncert|var"
    r"|toler|thresh|loss|formation|cohesive|binding|adsorption|gap|correlation|repulsion|dispersion|entropy"
    r"|surface|barrier|activation|isolated|atomi[sz]ation|norm|max|min|rms|mae|mask|constant|spring"
    r"|has_|have_|source|level|flag|raw",
    re.IGNORECASE,
)
# Each may be an energy or something else; all but E count only next to forces.
_LETTERS = frozenset({"E", "e", "U", "u"})
# Units other than eV and Å: as a part of a name, at its end, or anywhere.
_FOREIGN_PARTS = frozenset(
    {
        "ha",
        "eh",
        "ry",
        "au",
        "mev",
        "kev",
        "kcal",
        "kj",
        "kcalmol",
        "kjmol",
        "j",
        "mpa",
        "pa",
        "bar",
    }
    | {"mbar", "kb", "cm1"}
)
_FOREIGN = re.compile(
    r"(?<=[a-z])(Ha|Eh|Ry|kJ|kB|meV)$|(?i:hartree|rydberg|kcal|joule|gpa|kbar|bohr)"
)
_COMPONENTS = frozenset({"fx", "fy", "fz"})


def lookalikes(
    atoms: Atoms, info: Mapping[str, Any], labels: Labels, excluded: Collection[str]
) -> dict[str, str]:
    """Quantities of values that look like missing labels, by the name of the value.

    Args:
        atoms: The structure.
        info: Its metadata.
        labels: Its labels.
        excluded: Names that are surely no labels.
    """
    lacking = [
        quantity
        for quantity, value in zip(REF, (labels.energy, labels.forces, labels.stress), strict=True)
        if value is None
    ]
    quantities: dict[str, str] = {}
    for name, value in [*info.items(), *atoms.arrays.items()]:
        if name in excluded or name in REF.values() or name.startswith(CALCULATOR):
            continue
        quantity = quantity_of(name, value, len(atoms), of_atoms=name in atoms.arrays)
        if quantity in lacking:
            quantities[name] = quantity
    if labels.forces is None and "forces" not in quantities.values():
        quantities = {
            name: q for name, q in quantities.items() if name == "E" or name not in _LETTERS
        }
    if "forces" in lacking:
        components = [name for name in atoms.arrays if name.lower() in _COMPONENTS]
        if len(components) == len(_COMPONENTS):
            quantities |= dict.fromkeys(components, "forces")
    return quantities


def quantity_of(name: str, value: Any, n_atoms: int, *, of_atoms: bool = False) -> str:
    """The quantity of a label with the name and shape of this value; empty for none.

    Args:
        name: Name of the value.
        value: The value.
        n_atoms: Atoms of the structure.
        of_atoms: Whether the value is a per-atom array.
    """
    if _OTHER.search(name) or is_nothing(value) or isinstance(value, bool | np.bool_ | Mapping):
        return ""
    if of_atoms:
        is_vector = np.shape(value) == (n_atoms, 3) and _looks_numeric(value)
        return "forces" if is_vector and _FORCES.fullmatch(name) else ""
    if name in _LETTERS:  # a count or a Hubbard parameter, if whole
        return "energy" if isinstance(value, float | np.floating) else ""
    size = len(value.split()) if isinstance(value, str) else size_of(value)
    sizes = {"energy": (1, 2), "forces": (3 * n_atoms,), "stress": (6, 9)}
    for quantity, pattern in _PATTERNS.items():
        fits = size in sizes[quantity] and (size != 2 or isinstance(value, str))  # -1.0 eV
        if fits and pattern.fullmatch(name) and _looks_numeric(value):
            return quantity
    return ""


def _looks_numeric(value: Any) -> bool:
    if isinstance(value, str):  # such as a number with a unit
        return bool(re.match(r"\s*[-+]?[.\d]", value))
    try:
        return np.asarray(value).dtype.kind in "iuf"
    except ValueError:  # lists of unlike lengths
        return False


def is_vector(name: str, values: NDArray[Any]) -> bool:
    """Whether a per-atom array has the name and shape of forces, whatever its type."""
    return values.ndim == 2 and values.shape[1] == 3 and bool(_FORCES.fullmatch(name))


def refusal(quantities: Mapping[str, str]) -> InputError:
    """The error for values that look like labels, with the remedy."""
    names = " and ".join(f"'{name}'" for name in quantities)
    verb = "looks like a label and is" if len(quantities) == 1 else "look like labels and are"
    components = [name for name in quantities if name.lower() in _COMPONENTS]
    if components:
        hint = "declare the three columns as one: Properties=species:S:1:pos:R:3:REF_forces:R:3"
        return InputError(f"{names} {verb} not read", hint=hint)
    foreign = [name for name in quantities if in_other_unit(name)]
    if foreign:
        units = ", ".join(f"'{name}' in {WORDS[quantities[name]].label_unit}" for name in foreign)
        return InputError(
            f"{names} {verb} not read",
            hint=f"convert the numbers first, and name the unit no more: {units}; "
            f"{command(offered(quantities))} keeps {'it' if len(foreign) == 1 else 'them'} "
            "as metadata",
        )
    per_atom = any(re.search(r"per_?atom", name.lower()) for name in quantities)
    return InputError(
        f"{names} {verb} not read",
        hint=f"make {'a label' if len(quantities) == 1 else 'labels'} of "
        f"{'it' if len(quantities) == 1 else 'them'}: {command(offered(quantities))} "
        f"({next(iter(quantities))}={KEEP} keeps it as metadata"
        f"{'; an energy per atom is multiplied by the number of atoms' if per_atom else ''})",
    )


def in_other_unit(name: str) -> bool:
    """Whether a name contains a unit other than eV and Å."""
    parts = re.split(r"[\W_]+", name.lower())
    return not _FOREIGN_PARTS.isdisjoint(parts) or _FOREIGN.search(name) is not None


def offered(quantities: Mapping[str, str]) -> dict[str, str]:
    """The mapping for values that look like labels: the first of each quantity, the others kept.

    A value in another unit is kept as metadata, because a new name does not convert it.
    """
    first: dict[str, str] = {}
    for name, quantity in quantities.items():
        if not in_other_unit(name):
            first.setdefault(quantity, name)
    return {
        name: quantity if first.get(quantity) == name else KEEP
        for name, quantity in quantities.items()
    }
