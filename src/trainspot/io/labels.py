"""Which values of an ASE structure are its labels, and which only look like labels.

Labels have two sets of names: ``REF_energy``, ``REF_forces``, ``REF_stress``, and ``energy``,
``forces``, ``stress`` of a calculator. A frame has its labels under one of them. A value of another
name that looks like a label the frame lacks is never passed over: it is refused, with the line of
``trainspot convert --map`` that makes a label of it.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from trainspot.errors import InputError
from trainspot.frames import Labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

REF_ENERGY, REF_FORCES, REF_STRESS = "REF_energy", "REF_forces", "REF_stress"
REF: Final = {"energy": REF_ENERGY, "forces": REF_FORCES, "stress": REF_STRESS}
"""Names of the labels in files, by quantity."""

KEEP: Final = "keep"
"""What a name is mapped to that stays metadata."""

FILE: Final = "FILE"
"""Stands in messages for the file, of which a structure does not know."""

NOTHING: Final = frozenset({"", "none", "null", "n/a", "na"})
"""Texts that stand for a label that is not there."""

CALCULATOR: Final = "calculator_"
"""Begins the names under which results of a calculator are kept beside ``REF_`` labels."""

_UNITS = {"energy": "in eV", "forces": "in eV/Å", "stress": "in eV/Å³"}
_ENERGY = re.compile(
    r".*energ(y|ie).*|e|u|e_?tot(al)?|tot(al)?_?e|tot_?en|toten|e_?pot|pe|e_?(dft|ref|qm|pbe|scan)"
    r"|(dft|ref|qm|pbe|scan)_?e",
    re.IGNORECASE,
)
_FORCES = re.compile(r".*(force|gradient).*|f|frc|f_?xyz|grads?|f_?(dft|ref|qm)|(dft|ref|qm)_?f",
                     re.IGNORECASE)  # fmt: skip
_STRESS = re.compile(r".*(stress|virial|pressure_?tensor).*", re.IGNORECASE)
_PATTERNS = {"energy": _ENERGY, "forces": _FORCES, "stress": _STRESS}
# What has one of these in its name is something else, or says something about a label.
_OTHER = re.compile(
    r"cutoff|unit|weight|sigma0|hull|fermi|kinetic|zero_?point|zpe|shift|err|std|dev|uncert|var"
    r"|toler|thresh|loss|formation|cohesive|binding|adsorption|gap|correlation|repulsion|dispersion|entropy"
    r"|surface|barrier|activation|isolated|atomi[sz]ation|norm|max|min|rms|mae|mask|constant|spring"
    r"|has_|have_|source|level|flag|raw",
    re.IGNORECASE,
)
_COMPONENTS = frozenset({"fx", "fy", "fz"})


# ── the labels of a structure ─────────────────────────────────────────────────
def labels_of(
    atoms: Atoms, info: Mapping[str, Any], results: Mapping[str, Any], theory: str
) -> Labels:
    """The labels of a structure, under one set of names.

    Args:
        atoms: The structure.
        info: Its entries.
        results: What its calculator left.
        theory: Level of theory of labels that come without one.

    Raises:
        InputError: Labels under two sets of names, or a value that is no number or has the wrong
            shape; the message names it.
    """
    named = {"energy": info.get(REF_ENERGY), "forces": atoms.arrays.get(REF_FORCES),
             "stress": info.get(REF_STRESS)}  # fmt: skip
    named = {key: None if _is_nothing(value) else value for key, value in named.items()}
    if any(value is not None for value in named.values()):
        _check_one_set(named, results)
        names: Mapping[str, str] = REF
    else:
        # With smearing the forces are the derivative of the free energy.
        energy = "free_energy" if results.get("free_energy") is not None else "energy"
        names = {"energy": energy, "forces": "forces", "stress": "stress"}
        named = {key: results.get(name) for key, name in names.items()}
        named = {key: None if _is_nothing(value) else value for key, value in named.items()}
    labels = Labels(
        energy_of(names["energy"], named["energy"]),
        forces_of(names["forces"], named["forces"], len(atoms)),
        stress_of(names["stress"], named["stress"]),
    )
    return replace(labels, theory=str(info.get("theory", theory)) if labels else "")


def other_results(info: Mapping[str, Any], arrays: Collection[str], results: Mapping[str, Any],
                  ) -> dict[str, Any]:  # fmt: skip
    """Results that are no labels, by the names they are kept under.

    Of two energies of a calculator the one that is not the label is ``energy_sigma0``. Where there
    are labels of the other set of names, energy, forces and stress are those of something else.

    Args:
        info: Entries of the structure.
        arrays: Names of its per-atom arrays.
        results: What its calculator left.
    """
    mine = {"energy", "free_energy", "forces", "stress"}
    others = {k: v for k, v in results.items() if k not in mine and v is not None}
    referenced = REF_FORCES in arrays or any(not _is_nothing(info.get(n)) for n in REF.values())
    if referenced:
        return others | {
            CALCULATOR + k: _as_array(v)
            for k, v in results.items()
            if k in mine and v is not None and not _is_nothing(v)
        }
    energy = results.get("energy")
    if energy is not None and results.get("free_energy", energy) != energy:
        others["energy_sigma0"] = float(energy)
    return others


def _as_array(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else np.asarray(value)


def _check_one_set(named: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    """Refuse labels that are spread over both sets; a whole second set is that of a model, say."""
    whole = results.get("energy") is not None and results.get("forces") is not None
    mine = next(REF[key] for key, value in named.items() if value is not None)
    if whole and named["energy"] is not None and named["forces"] is not None:
        return
    others = {k: REF[k] for k, v in named.items() if v is None and results.get(k) is not None}
    for key, name in list(others.items())[:1]:
        raise InputError(
            f"'{mine}' and '{key}' are labels under two sets of names",
            hint=f"call the latter '{name}', or remove it; {command(others)} renames it",
        )


def command(renamed: Mapping[str, str]) -> str:
    """The command line that makes labels of values of other names."""
    options = " ".join(f"--map {shlex.quote(f'{old}={new}')}" for old, new in renamed.items())
    return f"trainspot convert {FILE} NEW.extxyz {options}"


def _is_nothing(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, str | bytes):
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        return text.strip().lower() in NOTHING
    return isinstance(value, np.ndarray | list | tuple) and not _size(value)


def _size(value: Any) -> int:
    """How many entries a value has; lists of unlike lengths have none that could be numbers."""
    try:
        return int(np.size(value))
    except ValueError:
        return -1


def numbers_of(name: str, value: Any, quantity: str) -> NDArray[np.float64]:
    """The numbers that a label consists of, whatever a file had for them.

    Raises:
        InputError: They are none; the message names the value.
    """
    hint = f"give numbers alone, {_UNITS[quantity]}, or leave it out"
    if isinstance(value, bool | np.bool_):
        raise InputError(f"{name} has no value", hint=hint)
    try:
        if isinstance(value, str):
            parts = [float(part) for part in re.sub(r"[\[\](),;]", " ", value).split()]
            value = parts[0] if len(parts) == 1 else parts
        found = np.asarray(value)
        if found.dtype.kind in "iuf":
            return found.astype(np.float64)
        if found.dtype.kind in "OUS":
            return np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        pass  # told below
    shown = repr(value if isinstance(value, str) else str(value))
    raise InputError(f"{name}={shown[:60]} is not a number", hint=hint)


def energy_of(name: str, value: Any) -> float | None:
    """An energy, eV, of whatever a file had for it; ``InputError`` if it is not one number."""
    if value is None:
        return None
    found = numbers_of(name, value, "energy")
    if found.size != 1:
        raise InputError(f"{name} has {found.size} numbers", hint="an energy is one number, in eV")
    _check_finite(name, found)
    return float(found.reshape(()) if found.ndim == 0 else found.ravel()[0])


def forces_of(name: str, value: Any, n_atoms: int) -> NDArray[np.float64] | None:
    """Forces, eV/Å, (n, 3), of whatever a file had; ``InputError`` if they are not that."""
    if value is None:
        return None
    found = numbers_of(name, value, "forces")
    if found.shape != (n_atoms, 3):
        shape = " × ".join(map(str, found.shape)) or "1"
        hint = f"forces are three numbers for each of the {n_atoms} atoms, in eV/Å"
        raise InputError(f"{name} has {shape} numbers", hint=hint)
    _check_finite(name, found)
    return found


def stress_of(name: str, value: Any) -> NDArray[np.float64] | None:
    """A stress, eV/Å³, (3, 3), of nine or six numbers; ``InputError`` if it is not that."""
    if value is None:
        return None
    found = numbers_of(name, value, "stress")
    if found.size not in (6, 9):
        hint = "a stress is nine numbers, the rows of its matrix, or six: xx yy zz yz xz xy"
        raise InputError(f"{name} has {found.size} number{'s' * (found.size != 1)}", hint=hint)
    _check_finite(name, found)
    full = voigt_6_to_full_3x3_stress(found.ravel()) if found.size == 6 else found.reshape(3, 3)
    return np.asarray(full, dtype=np.float64)


def _check_finite(name: str, numbers: NDArray[np.float64]) -> None:
    if not np.all(np.isfinite(numbers)):
        raise InputError(f"{name} is not finite", hint="leave an absent label out")


# ── values that look like labels ──────────────────────────────────────────────
def lookalikes(
    atoms: Atoms, info: Mapping[str, Any], labels: Labels, known: Collection[str]
) -> dict[str, str]:
    """Quantities of values that look like labels the structure lacks, by the name of the value.

    Args:
        atoms: The structure.
        info: Its metadata.
        labels: Its labels.
        known: Names that are no labels for sure.
    """
    lacking = [
        quantity
        for quantity, value in zip(REF, (labels.energy, labels.forces, labels.stress), strict=True)
        if value is None
    ]
    found: dict[str, str] = {}
    for name, value in [*info.items(), *atoms.arrays.items()]:
        if name in known or name in REF.values() or name.startswith(CALCULATOR):
            continue
        quantity = quantity_of(name, value, len(atoms), of_atoms=name in atoms.arrays)
        if quantity in lacking:
            found[name] = quantity
    if "forces" in lacking:
        components = [name for name in atoms.arrays if name.lower() in _COMPONENTS]
        if len(components) == len(_COMPONENTS):
            found |= dict.fromkeys(components, "forces")
    return found


def quantity_of(name: str, value: Any, n_atoms: int, *, of_atoms: bool = False) -> str:
    """The label that a value looks like by its name and shape; empty for none.

    Args:
        name: What it is called.
        value: What it is.
        n_atoms: Atoms of the structure.
        of_atoms: Whether it is a per-atom array.
    """
    if _OTHER.search(name) or _is_nothing(value) or isinstance(value, bool | np.bool_ | Mapping):
        return ""
    if of_atoms:
        is_vector = np.shape(value) == (n_atoms, 3) and _looks_numeric(value)
        return "forces" if is_vector and _FORCES.fullmatch(name) else ""
    size = len(value.split()) if isinstance(value, str) else _size(value)
    sizes = {"energy": (1, 2), "forces": (3 * n_atoms,), "stress": (6, 9)}
    for quantity, pattern in _PATTERNS.items():
        right = size in sizes[quantity] and (size != 2 or isinstance(value, str))  # -1.0 eV
        if right and pattern.fullmatch(name) and _looks_numeric(value):
            return quantity
    return ""


def _looks_numeric(value: Any) -> bool:
    if isinstance(value, str):  # a number with a unit, say
        return bool(re.match(r"\s*[-+]?[.\d]", value))
    try:
        return np.asarray(value).dtype.kind in "iuf"
    except ValueError:  # lists of unlike lengths
        return False


def refusal(found: Mapping[str, str]) -> InputError:
    """Why values that look like labels are not passed over, and what to do about them."""
    names = " and ".join(f"'{name}'" for name in found)
    verb = "looks like a label and is" if len(found) == 1 else "look like labels and are"
    components = [name for name in found if name.lower() in _COMPONENTS]
    if components:
        hint = "declare the three columns as one: Properties=species:S:1:pos:R:3:REF_forces:R:3"
        return InputError(f"{names} {verb} not read", hint=hint)
    return InputError(
        f"{names} {verb} not read",
        hint=f"make {'a label' if len(found) == 1 else 'labels'} of "
        f"{'it' if len(found) == 1 else 'them'}: {command(offered(found))} "
        f"({next(iter(found))}={KEEP} keeps it as metadata)",
    )


def offered(found: Mapping[str, str]) -> dict[str, str]:
    """What to map values that look like labels to: the first of each quantity, the others kept."""
    first: dict[str, str] = {}
    for name, quantity in found.items():
        first.setdefault(quantity, name)
    return {name: quantity if first[quantity] == name else KEEP for name, quantity in found.items()}
