"""One ASE structure ⇄ one frame, with everything that either of them has.

``info`` carries what a structure file carries: labels under ``REF_…`` (the names MACE reads), the
origin and the set under names of their own, and the user's metadata. What a file format cannot
express goes into one JSON text, ``trainspot``; ``packed`` decides, entry by entry.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import ase.constraints
import numpy as np
from ase import Atoms
from ase.io.extxyz import per_atom_properties
from ase.stress import voigt_6_to_full_3x3_stress

from trainspot.combine import with_ids
from trainspot.dataset import Dataset
from trainspot.errors import InputError
from trainspot.frames import SPLITS, Frame, Labels, Origin, frame_id
from trainspot.metadata import decode_metadata, encode_metadata

if TYPE_CHECKING:
    from numpy.typing import NDArray

REF_ENERGY, REF_FORCES, REF_STRESS = "REF_energy", "REF_forces", "REF_stress"
OURS: Final = "trainspot"
"""Name of the JSON text for what a format cannot express."""

TEXT_KEYS: Final = ("frame_id", "strategy", "parent", "split", "trajectory", "theory", OURS)
NUMBER_KEYS: Final = ("seed", "iteration")
RESERVED: Final = frozenset({*TEXT_KEYS, *NUMBER_KEYS, REF_ENERGY, REF_STRESS})
"""Names in ``info`` that metadata of the user cannot have in a file."""

CONSTRAINTS: Final = "constraints"
"""Name in ``Frame.info`` of ASE's constraints, as the dictionaries that ASE makes of them."""

# What ASE's CIF reader derives from the file; the geometry already contains it.
DERIVED_INFO: Final = frozenset({"spacegroup", "unit_cell", "occupancy"})
_DERIVED_ARRAYS = {"numbers", "positions", "spacegroup_kinds", REF_FORCES}
_LABELS = {"energy", "free_energy", "forces", "stress"}


# ── from ASE ──────────────────────────────────────────────────────────────────
def from_images(images: Iterable[Atoms], *, theory: str = "", where: str = "") -> Dataset:
    """A dataset of ASE structures, see ``from_ase``.

    Args:
        images: The structures.
        theory: Level of theory of labels that come without one.
        where: The file they come from, if they come from one.

    Raises:
        InputError: A structure that cannot be used; the message counts from 1.
    """
    frames, several = [], list(images)
    for number, atoms in enumerate(several, start=1):
        try:
            frames.append(from_ase(atoms, theory=theory))
        except InputError as error:
            place = f"structure {number}" if len(several) > 1 else ""
            place = ", ".join(part for part in (where, place) if part)
            raise type(error)(error.what, where=place, hint=error.hint) from None
    try:
        dataset = Dataset.from_frames(frames)
    except InputError as error:
        raise type(error)(error.what, where=where, hint=error.hint) from None
    before = [_id_before(atoms, frame) for atoms, frame in zip(several, frames, strict=True)]
    if before == dataset.ids:
        return dataset
    return Dataset(with_ids(dataset.columns, before, dataset.ids))


def _id_before(atoms: Atoms, frame: Frame) -> str:
    """The id that the children of a frame know it by, if charge and spin were no part of it yet."""
    given = atoms.info.get("frame_id")
    old = frame_id(frame.numbers, frame.positions, frame.cell, frame.pbc)
    return old if given == old else frame.id


def from_ase(atoms: Atoms, *, theory: str = "") -> Frame:
    """A frame of an ASE structure with its labels, origin, extras and metadata.

    Labels are ``REF_energy``, ``REF_forces``, ``REF_stress`` or, without these, the results of an
    attached calculator. Its other results become extras (those of atoms: ``charges``,
    ``magmoms`` …) and metadata (``dipole`` …); constraints become metadata.

    Raises:
        InputError: No atoms, a partially occupied site, or unusable labels or metadata.
    """
    _check_occupancy(atoms)
    info = {k: v for k, v in atoms.info.items() if k not in DERIVED_INFO}
    kept = _kept(info.get(OURS, "{}"))
    info |= _entry(kept, "header")
    user = {k: v for k, v in info.items() if k not in RESERVED} | _entry(kept, "info")
    arrays = {k: v for k, v in atoms.arrays.items() if k not in _DERIVED_ARRAYS}
    arrays = {k: _typed(k, v, _entry(kept, "dtypes")) for k, v in arrays.items()}
    arrays |= {k: _unpacked(v) for k, v in _entry(kept, "arrays").items()}
    for name, value in _other_results(atoms, info).items():
        _set_once(arrays if name in per_atom_properties else user, name, value)
    if atoms.constraints:
        _set_once(user, CONSTRAINTS, [_constraint(c) for c in atoms.constraints])
    encode_metadata(user)  # refuse now, not when it is stored
    split = info.get("split")
    if split is not None and split not in SPLITS:
        raise InputError(f"unknown set '{split}'", hint=f"one of {', '.join(SPLITS)}")
    return Frame.from_atoms(
        atoms,
        labels=_labels(atoms, info, theory),
        origin=Origin(
            strategy=str(info.get("strategy", "input")),
            parent=str(info.get("parent", "")),
            parameters=_entry(kept, "parameters"),
            seed=_integer(info, "seed") if "seed" in info else None,
            trajectory=str(info.get("trajectory", "")),
            iteration=_integer(info, "iteration") if "iteration" in info else 0,
        ),
        split=split,
        arrays=arrays,
        info=user,
    )


def _kept(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        found = None
    if not (isinstance(found, dict) and all(isinstance(v, dict) for v in found.values())):
        raise InputError(f"the entry '{OURS}' is damaged", hint="remove it from the file")
    return found


def _entry(kept: Mapping[str, Any], name: str) -> dict[str, Any]:
    return decode_metadata(json.dumps(kept[name]).encode()) if name in kept else {}


def _integer(info: Mapping[str, Any], key: str) -> int:
    try:
        return int(info[key])
    except (TypeError, ValueError):
        raise InputError(f"'{key}' must be a whole number, not '{info[key]}'") from None


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
    """What a calculator left; in a trajectory of ours it is a model's, never the reference's."""
    if atoms.calc is None or info.get("strategy") == "md":
        return {}
    found: Mapping[str, Any] = atoms.calc.results
    return found


def _other_results(atoms: Atoms, info: Mapping[str, Any]) -> dict[str, Any]:
    """Results that are no labels; of two energies the one that is not the label."""
    results = _results(atoms, info)
    others = {k: v for k, v in results.items() if k not in _LABELS and v is not None}
    energy = results.get("energy")
    if energy is not None and results.get("free_energy", energy) != energy:
        others["energy_sigma0"] = float(energy)
    return others


def _labels(atoms: Atoms, info: Mapping[str, Any], theory: str) -> Labels:
    energy, forces = info.get(REF_ENERGY), atoms.arrays.get(REF_FORCES)
    stress = info.get(REF_STRESS)
    results = _results(atoms, info)
    for mine, name, ours in ((energy, "energy", REF_ENERGY), (forces, "forces", REF_FORCES)):
        if (energy is None) != (forces is None) and mine is None and results.get(name) is not None:
            other = REF_FORCES if name == "energy" else REF_ENERGY
            raise InputError(
                f"'{other}' and '{name}' are labels under two sets of names",
                hint=f"call the latter '{ours}', or remove it",
            )
    if energy is None and forces is None and stress is None:
        # With smearing the forces are the derivative of the free energy.
        energy = results.get("free_energy", results.get("energy"))
        forces, stress = results.get("forces"), results.get("stress")
    if stress is not None:
        stress = np.asarray(stress, dtype=np.float64)
        stress = voigt_6_to_full_3x3_stress(stress) if stress.size == 6 else stress.reshape(3, 3)
    labels = Labels(energy, forces, stress)
    name = str(info.get("theory", theory)) if labels else ""
    return Labels(energy, forces, stress, name).checked(len(atoms))


def _check_occupancy(atoms: Atoms) -> None:
    for site in atoms.info.get("occupancy", {}).values():
        if len(site) > 1 or any(abs(share - 1.0) > 1e-6 for share in site.values()):
            raise InputError("has partially occupied sites", hint="give an ordered structure")


def _constraint(constraint: Any) -> dict[str, Any]:
    name = type(constraint).__name__
    known = name in ase.constraints.__all__ and hasattr(constraint, "todict")
    if not known:
        raise InputError(f"a constraint of type {name} cannot be kept", hint="remove it")
    found: dict[str, Any] = constraint.todict()
    return found


# ── to ASE ────────────────────────────────────────────────────────────────────
def to_ase(frame: Frame) -> Atoms:
    """An ASE structure with all that the frame has; ``from_ase`` makes the same frame of it.

    Labels are under ``REF_…``, origin and set in ``info``, extras in arrays, constraints are set.
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
    """ASE's constraints of a frame, made anew from its metadata; none if they are not ASE's."""
    found = frame.info.get(CONSTRAINTS)
    if not isinstance(found, list):
        return []
    try:  # of all names ASE makes only its own
        made = [ase.constraints.dict2constraint(dict(entry)) for entry in found]
    except (TypeError, ValueError, KeyError, AttributeError):
        return []
    ours = all(isinstance(constraint, ase.constraints.FixConstraint) for constraint in made)
    return made if ours else []


def packed(
    frame: Frame,
    keeps_entry: Callable[[str, Any], bool],
    keeps_array: Callable[[str, NDArray[Any]], bool],
    *,
    keeps_types: bool = False,
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What a format carries as it is of a frame's origin, set, metadata and extras.

    All the rest is in one JSON text in the first of the two, ``trainspot``, which is there only if
    it is needed.

    Args:
        frame: The frame.
        keeps_entry: Whether an entry of ``info`` comes back the same.
        keeps_array: Whether a per-atom array comes back the same, but for its dtype.
        keeps_types: Whether the format keeps dtypes too.

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
    kept = {k: json.loads(encode_metadata(v)) for k, v in rest.items() if v}
    if kept:
        plain[OURS] = json.dumps(kept, sort_keys=True)
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
