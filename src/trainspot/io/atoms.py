"""One ASE structure ⇄ one frame, without loss.

``info`` holds the entries of a structure file: labels under ``REF_…`` (the names that MACE reads),
origin and split under their own names, and the user's metadata. Entries that a file format cannot
express go into one JSON text, ``trainspot``; ``packed`` decides this for each entry.
"""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import ase.constraints
import numpy as np
from ase import Atoms
from ase.io.extxyz import per_atom_properties
from ase.spacegroup import Spacegroup

from trainspot.common.errors import InputError
from trainspot.data.columns import PER_FRAME
from trainspot.data.frames import SPLITS, Frame, Origin
from trainspot.data.metadata import decode_metadata, encode_metadata
from trainspot.io import labels as naming
from trainspot.io import lookalikes
from trainspot.io.labels import REF_ENERGY, REF_FORCES, REF_STRESS
from trainspot.io.mapping import renamed

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOG: Final = logging.getLogger("trainspot.io")
"""Logger for readers: warnings are notes for the user, everything else is information."""
OURS: Final = "trainspot"
"""Name of the JSON text for entries that a format cannot express."""

TEXT_KEYS: Final = ("frame_id", "strategy", "parent", "split", "trajectory", "theory", OURS)
NUMBER_KEYS: Final = ("seed", "iteration")
RESERVED: Final = frozenset({*TEXT_KEYS, *NUMBER_KEYS, REF_ENERGY, REF_STRESS})
"""Names in ``info`` that metadata of the user must not use in a file."""

CONSTRAINTS: Final = "constraints"
"""Name in ``Frame.info`` of ASE's constraints, stored as ASE's dictionaries."""

# ASE's CIF reader derives these entries; the geometry already contains them.
DERIVED_INFO: Final = frozenset({"spacegroup", "unit_cell", "occupancy"})
_DERIVED_ARRAYS = {"numbers", "positions", "spacegroup_kinds", REF_FORCES}
_ID = re.compile(r"[0-9a-f]{64}")  # of our frames; any other value is metadata of the user
_LARGEST = {name: int(np.iinfo(PER_FRAME[name][0]).max) for name in NUMBER_KEYS}
_TEXT_BYTES = {name: int(PER_FRAME[name][0][1:])
               for name in ("strategy", "parent", "trajectory", "theory")}  # fmt: skip


# ── from ASE ──────────────────────────────────────────────────────────────────
def from_ase(atoms: Atoms, *, theory: str = "", mapping: Mapping[str, str] | None = None) -> Frame:
    """A frame of an ASE structure with its labels, origin, extras and metadata.

    Labels are ``REF_energy``, ``REF_forces``, ``REF_stress`` or, without these, the results of an
    attached calculator. Other results of the calculator become extras (per-atom results such as
    ``charges`` and ``magmoms``) or metadata (``dipole`` …); constraints become metadata.

    Args:
        atoms: The structure; a ``mapping`` renames its labels in place.
        theory: Level of theory of labels that come without one.
        mapping: Labels under other names, see ``mapping.parse_map``.

    Raises:
        InputError: No atoms, a partially occupied site, unusable labels or metadata, or a value
            that looks like a missing label.
    """
    if mapping:
        renamed(atoms, mapping)
    notes: Counter[str] = Counter()
    frame = read_frame(atoms, theory, mapping or {}, notes)
    for text in notes:
        LOG.warning("%s", text)
    return frame


def read_frame(atoms: Atoms, theory: str, mapping: Mapping[str, str], notes: Counter[str]) -> Frame:
    """See ``from_ase``; ``notes`` counts what the user should know."""
    _check_occupancy(atoms)
    atoms = _with_forces(atoms)
    # Only for a CIF; in an extended XYZ file these names are entries of the user.
    derived = DERIVED_INFO if isinstance(atoms.info.get("spacegroup"), Spacegroup) else ()
    info = {k: v for k, v in atoms.info.items() if k not in derived}
    entries = _all_entries(info.get(OURS, "{}"))
    info |= _entry(entries, "header")
    user = {k: v for k, v in info.items() if k not in RESERVED} | _entry(entries, "info")
    if "frame_id" in info and not _is_ours(info):
        user.setdefault("frame_id", info["frame_id"])
    arrays = _numeric(atoms, notes)
    arrays = {k: _typed(k, v, _entry(entries, "dtypes")) for k, v in arrays.items()}
    arrays |= {k: _unpacked(v) for k, v in _entry(entries, "arrays").items()}
    results = _results(atoms, info)
    for name, value in naming.other_results(info, atoms.arrays, results).items():
        plain = name.removeprefix(naming.CALCULATOR)
        _set_once(arrays if plain in per_atom_properties else user, name, value)
        if plain != name:
            notes[f"'{plain}' of a calculator is kept as '{name}' beside the REF_ labels"] += 1
    if atoms.constraints:
        _set_once(user, CONSTRAINTS, [_constraint(c) for c in atoms.constraints])
    encode_metadata(user)  # refuse it now, not later in a file
    split = info.get("split")
    if split is not None and split not in SPLITS:
        raise InputError(f"unknown split '{split}'", hint=f"one of {', '.join(SPLITS)}")
    labels = naming.labels_of(atoms, info, results, theory, as_is=_is_ours(info))
    if info.get("strategy") != "md":
        reserved = {*mapping, *RESERVED, *_entry(entries, "info"), *_entry(entries, "arrays")}
        suspects = lookalikes.lookalikes(atoms, info, labels, reserved)
        # A frame without a stress is complete; one without energy or forces is not labelled.
        if {"energy", "forces"} & {*suspects.values()} and not _is_ours(info):
            raise lookalikes.refusal(suspects)
        for name in suspects:
            if lookalikes.in_other_unit(name):
                notes[f"'{name}' is metadata, not a label: its name says another unit"] += 1
                continue
            does = naming.command(lookalikes.offered({name: suspects[name]}))
            notes[f"'{name}' is metadata, not a label; {does} makes a label of it"] += 1
    _check_texts(info)
    return Frame.from_atoms(
        atoms,
        labels=labels,
        origin=Origin(
            strategy=str(info.get("strategy", "input")),
            parent=str(info.get("parent", "")),
            parameters=_entry(entries, "parameters"),
            seed=_integer(info, "seed") if "seed" in info else None,
            trajectory=str(info.get("trajectory", "")),
            iteration=_integer(info, "iteration") if "iteration" in info else 0,
        ),
        split=split,
        arrays=arrays,
        info=user,
    )


def _with_forces(atoms: Atoms) -> Atoms:
    """The structure with forces as an array if ``info`` has them, as in data of a database."""
    value = atoms.info.get(REF_FORCES)
    if _is_ours(atoms.info) or REF_FORCES in atoms.arrays or naming.is_nothing(value):
        return atoms
    numbers = naming.numbers_of(REF_FORCES, value, "forces")
    flat = numbers.shape == (3 * len(atoms),)
    forces = naming.forces_of(REF_FORCES, numbers.reshape(-1, 3) if flat else numbers, len(atoms))
    structure = atoms.copy()
    structure.calc = atoms.calc
    del structure.info[REF_FORCES]
    structure.set_array(REF_FORCES, forces)
    return structure


def _numeric(atoms: Atoms, notes: Counter[str]) -> dict[str, NDArray[Any]]:
    """Per-atom arrays without those of text; text in place of forces stays, to be refused later."""
    arrays = {k: v for k, v in atoms.arrays.items() if k not in _DERIVED_ARRAYS}
    for name in [k for k, v in arrays.items() if _is_text(v) and not lookalikes.is_vector(k, v)]:
        del arrays[name]
        notes[f"the column '{name}' is text and is left out"] += 1
    return arrays


def _is_text(values: NDArray[Any]) -> bool:
    if values.dtype.kind == "O":
        return all(isinstance(v, str) or v is None for v in values.ravel().tolist())
    return values.dtype.kind == "U"


def _is_ours(info: Mapping[str, Any]) -> bool:
    """Whether this program wrote the frame, and has checked its entries before."""
    return _ID.fullmatch(str(info.get("frame_id", ""))) is not None


def _check_texts(info: Mapping[str, Any]) -> None:
    for name, size in _TEXT_BYTES.items():
        if len(str(info.get(name, "")).encode("utf-8", "replace")) > size:
            raise InputError(
                f"'{name}' is longer than {size} bytes: '{str(info[name])[:40]}…'",
                hint="shorten it, or give the entry another name",
            )


def _all_entries(text: Any) -> dict[str, Any]:
    try:
        entries = json.loads(text)
    except (TypeError, ValueError):
        entries = None
    if not (isinstance(entries, dict) and all(isinstance(v, dict) for v in entries.values())):
        raise InputError(f"the entry '{OURS}' is damaged", hint="remove it from the file")
    return entries


def _entry(entries: Mapping[str, Any], name: str) -> dict[str, Any]:
    return decode_metadata(json.dumps(entries[name]).encode()) if name in entries else {}


def _integer(info: Mapping[str, Any], key: str) -> int:
    try:
        number = int(info[key])
    except (TypeError, ValueError, OverflowError):
        number = None
    is_whole = isinstance(info[key], str) or number == info[key]
    if number is not None and not 0 <= number <= _LARGEST[key]:
        number = None
    if number is None or not is_whole or isinstance(info[key], bool):
        raise InputError(
            f"'{key}' must be a whole number, not '{info[key]}'",
            hint="give the entry another name if it is not ours",
        )
    return number


def _typed(name: str, values: NDArray[Any], dtypes: Mapping[str, Any]) -> NDArray[Any]:
    array = np.asarray(values, dtypes.get(name, values.dtype))
    if array.dtype.kind not in "biufS":
        raise InputError(f"the per-atom array '{name}' is not numeric", hint="remove that column")
    return array


def _set_once(target: dict[str, Any], name: str, value: Any) -> None:
    if name in target:
        raise InputError(f"'{name}' is given twice", hint="remove one of them")
    target[name] = value


def _results(atoms: Atoms, info: Mapping[str, Any]) -> Mapping[str, Any]:
    """Results of the calculator; none for our own trajectories, where they come from a model."""
    if atoms.calc is None or (info.get("strategy") == "md" and _is_ours(info)):
        return {}
    results: Mapping[str, Any] = atoms.calc.results
    return results


def _check_occupancy(atoms: Atoms) -> None:
    sites = atoms.info.get("occupancy")
    for site in sites.values() if isinstance(sites, Mapping) else ():
        if not isinstance(site, Mapping):
            continue
        if len(site) > 1 or any(abs(share - 1.0) > 1e-6 for share in site.values()):
            raise InputError("has partially occupied sites", hint="give an ordered structure")


def _constraint(constraint: Any) -> dict[str, Any]:
    name = type(constraint).__name__
    is_ase = name in ase.constraints.__all__ and hasattr(constraint, "todict")
    if not is_ase:
        raise InputError(f"a constraint of type {name} cannot be kept", hint="remove it")
    values: dict[str, Any] = constraint.todict()
    return values


# ── to ASE ────────────────────────────────────────────────────────────────────
def to_ase(frame: Frame) -> Atoms:
    """An ASE structure with all data of the frame; ``from_ase`` returns the same frame.

    Labels are under ``REF_…``, origin and split in ``info``, extras in arrays; constraints are set.
    """
    atoms = frame.to_atoms()
    constraints = constraints_of(frame)
    if constraints:
        user = {k: v for k, v in frame.info.items() if k != CONSTRAINTS}
        atoms.set_constraint(constraints)
        frame = frame.with_(info=user)
    atoms.info, arrays = packed(frame, lambda *_: True, lambda *_: True, keeps_types=True)
    labels = frame.labels
    if labels.energy is not None:
        atoms.info[REF_ENERGY] = labels.energy
    if labels.stress is not None:
        atoms.info[REF_STRESS] = labels.stress.copy()
    for name, values in arrays.items():
        atoms.set_array(name, np.array(values))
    if labels.forces is not None:
        atoms.set_array(REF_FORCES, labels.forces.copy())
    return atoms


def constraints_of(frame: Frame) -> list[Any]:
    """ASE's constraints from the metadata of a frame; none if the entries are not from ASE."""
    entries = frame.info.get(CONSTRAINTS)
    if not isinstance(entries, list):
        return []
    try:  # ASE creates only its own constraints
        constraints = [ase.constraints.dict2constraint(dict(entry)) for entry in entries]
    except (TypeError, ValueError, KeyError, AttributeError):
        return []
    ours = all(isinstance(constraint, ase.constraints.FixConstraint) for constraint in constraints)
    return constraints if ours else []


def packed(
    frame: Frame,
    keeps_entry: Callable[[str, Any], bool],
    keeps_array: Callable[[str, NDArray[Any]], bool],
    *,
    keeps_types: bool = False,
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Origin, split, metadata and extras of a frame in a form that a format can store.

    Data that the format cannot store go into one JSON text, the entry ``trainspot``, if there are
    any.

    Args:
        frame: The frame.
        keeps_entry: Whether an entry of ``info`` comes back the same.
        keeps_array: Whether a per-atom array comes back the same, except for its dtype.
        keeps_types: Whether the format also keeps dtypes.

    Returns:
        Entries of ``info`` and per-atom arrays; labels are in neither.

    Raises:
        DataError: An extra with more digits than JSON keeps (long doubles).
    """
    header, user = _header(frame), frame.info
    plain = {k: v for k, v in header.items() if keeps_entry(k, v)}
    plain |= {k: v for k, v in user.items() if k not in RESERVED and keeps_entry(k, v)}
    arrays = {k: v for k, v in sorted(frame.arrays.items()) if keeps_array(k, v)}
    rest = {
        "header": {k: v for k, v in header.items() if k not in plain},
        "info": {k: v for k, v in user.items() if k in RESERVED or k not in plain},
        "parameters": dict(frame.origin.parameters),
        "dtypes": {} if keeps_types else {k: v.dtype.str for k, v in arrays.items()},
        "arrays": {k: _packed_array(v) for k, v in frame.arrays.items() if k not in arrays},
    }
    entries = {k: json.loads(encode_metadata(v)) for k, v in rest.items() if v}
    if entries:
        plain[OURS] = json.dumps(entries, sort_keys=True)
    return plain, arrays


def _packed_array(array: NDArray[Any]) -> Any:
    if array.dtype.kind != "S":
        return array
    texts = [value.decode("latin-1") for value in array.ravel().tolist()]
    return {"bytes": texts, "dtype": array.dtype.str, "shape": array.shape}


def _unpacked(value: Any) -> NDArray[Any]:
    if not isinstance(value, dict):
        return np.asarray(value)
    try:
        flat = np.array([text.encode("latin-1") for text in value["bytes"]], value["dtype"])
        return flat.reshape(value["shape"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(f"the entry '{OURS}' is damaged", hint="remove it from the file") from None


def _header(frame: Frame) -> dict[str, Any]:
    origin = frame.origin
    header: dict[str, Any] = {
        "frame_id": frame.id,
        "strategy": origin.strategy,
        "parent": origin.parent,
        "split": frame.split,
        "trajectory": origin.trajectory,
        "theory": frame.labels.theory,
        "seed": origin.seed,
        "iteration": origin.iteration or None,
    }
    return {key: value for key, value in header.items() if value not in (None, "")}
