"""Files in and out: everything ASE reads ⇄ ``Dataset``; our HDF5 layout and extended XYZ out.

Extended XYZ written here is lossless: numbers carry all their digits, labels go under ``REF_…``
(the names MACE reads), and what the format cannot express goes into one JSON text, ``trainspot``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import ase.io
import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_properties
from ase.io.extxyz import key_val_str_to_dict, read_xyz
from ase.stress import voigt_6_to_full_3x3_stress

from trainspot import store
from trainspot.dataset import Dataset
from trainspot.errors import DataError, InputError
from trainspot.frames import SPLITS, Frame, Labels, Origin
from trainspot.metadata import decode_metadata, encode_metadata

if TYPE_CHECKING:
    from numpy.typing import NDArray

XYZ_SUFFIXES: Final = (".extxyz", ".xyz")
REF_ENERGY, REF_FORCES, REF_STRESS = "REF_energy", "REF_forces", "REF_stress"

_TEXT_KEYS = ("frame_id", "strategy", "parent", "split", "trajectory", "theory", "trainspot")
_NUMBER_KEYS = ("seed", "iteration")
_RESERVED = {*_TEXT_KEYS, *_NUMBER_KEYS, REF_ENERGY, REF_STRESS}
# Keys with a meaning of their own in extended XYZ, which metadata must not take.
_XYZ_KEYS = {"Lattice", "Properties", "pbc", "virial", *all_properties}
# What ASE's CIF reader derives from the file; the geometry already contains it.
_DERIVED_INFO = {"spacegroup", "unit_cell", "occupancy"}
_DERIVED_ARRAYS = {"numbers", "positions", "spacegroup_kinds", REF_FORCES}
_COLUMN_TYPES = {"f": "R", "i": "I", "b": "L"}


def read(path: Path | str, *, theory: str = "") -> Dataset:
    """Frames of a file: our HDF5, or any format ASE reads (all images).

    Args:
        path: The file; ``.h5`` is ours.
        theory: Level of theory of labels that come without one.

    Raises:
        InputError: No such file, unreadable, empty, or a structure that cannot be used.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("no such file", where=str(path))
    if path.suffix == store.SUFFIX:
        return store.read(path)
    images = _images(path)
    if not images:
        raise InputError("contains no structure", where=str(path))
    return from_images(images, theory=theory, where=str(path))


@contextmanager
def opened(path: Path | str) -> Iterator[Dataset]:
    """Frames of a file, read lazily where its format allows it (ours), else at once; see ``read``.

    Raises:
        InputError: As ``read``.
    """
    if Path(path).suffix == store.SUFFIX and Path(path).is_file():
        with store.opened(Path(path)) as dataset:
            store.check_values(dataset, str(path))
            yield dataset
    else:
        yield read(path)


def write(dataset: Dataset, path: Path | str) -> None:
    """Write a dataset by suffix: ``.h5`` (our layout) or ``.extxyz``; atomically.

    Raises:
        InputError: Another suffix.
        DataError: Extras that extended XYZ cannot keep losslessly (HDF5 can).
    """
    path = Path(path)
    if path.suffix == store.SUFFIX:
        store.write(dataset, path)
    elif path.suffix in XYZ_SUFFIXES:
        scratch = path.with_name(f".{path.name}.part")
        try:
            with scratch.open("w", encoding="utf-8") as handle:
                write_extxyz(handle, dataset)
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    else:
        raise InputError(
            f"unknown dataset suffix '{path.suffix}'", where=str(path), hint="use .h5 or .extxyz"
        )


def check_output(path: Path | str) -> Path:
    """A path that ``write`` will accept, checked before work is spent.

    Raises:
        InputError: Unknown suffix, or the folder does not exist.
    """
    path = Path(path)
    if path.suffix not in (store.SUFFIX, *XYZ_SUFFIXES):
        raise InputError(
            f"unknown dataset suffix '{path.suffix}'", where=str(path), hint="use .h5 or .extxyz"
        )
    if not path.parent.is_dir():
        raise InputError("no such folder", where=str(path.parent))
    return path


def _images(path: Path) -> list[Atoms]:
    try:
        if path.suffix in XYZ_SUFFIXES:
            with path.open(encoding="utf-8") as handle:
                return list(read_xyz(handle, slice(None), properties_parser=_parse_comment))
        found = ase.io.read(path, index=":")
    except InputError:
        raise
    except Exception as error:  # ASE's readers raise whatever they meet
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"cannot be read as a structure ({reason})", where=str(path)) from error
    return found if isinstance(found, list) else [found]


# ── ASE ───────────────────────────────────────────────────────────────────────
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
    return Dataset.from_frames(frames)


def from_ase(atoms: Atoms, *, theory: str = "") -> Frame:
    """A frame of an ASE structure with its labels, origin, extras and metadata.

    Labels are ``REF_energy``, ``REF_forces``, ``REF_stress`` or, without these, the results of an
    attached calculator.

    Raises:
        InputError: No atoms, a partially occupied site, or unusable labels or metadata.
    """
    _check_occupancy(atoms)
    info = {k: v for k, v in atoms.info.items() if k not in _DERIVED_INFO}
    kept = _kept(info.get("trainspot", "{}"))
    user = {k: v for k, v in info.items() if k not in _RESERVED}
    user |= decode_metadata(json.dumps(kept.get("info", {})).encode())
    encode_metadata(user)  # refuse now, not when it is stored
    split = info.get("split")
    if split is not None and split not in SPLITS:
        raise InputError(f"unknown set '{split}'", hint=f"one of {', '.join(SPLITS)}")
    arrays = {k: v for k, v in atoms.arrays.items() if k not in _DERIVED_ARRAYS}
    return Frame.from_atoms(
        atoms,
        labels=_labels(atoms, info, theory),
        origin=Origin(
            strategy=str(info.get("strategy", "input")),
            parent=str(info.get("parent", "")),
            parameters=decode_metadata(json.dumps(kept.get("parameters", {})).encode()),
            seed=_integer(info, "seed") if "seed" in info else None,
            trajectory=str(info.get("trajectory", "")),
            iteration=_integer(info, "iteration") if "iteration" in info else 0,
        ),
        split=split,
        arrays={k: np.asarray(v, _kept_dtype(k, v, kept)) for k, v in arrays.items()},
        info=user,
    )


def _kept(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        found = None
    if not isinstance(found, dict):
        raise InputError("the entry 'trainspot' is damaged", hint="remove it from the file")
    return found


def _integer(info: dict[str, Any], key: str) -> int:
    try:
        return int(info[key])
    except (TypeError, ValueError):
        raise InputError(f"'{key}' must be a whole number, not '{info[key]}'") from None


def _kept_dtype(name: str, values: NDArray[Any], kept: dict[str, Any]) -> Any:
    return kept.get("dtypes", {}).get(name, values.dtype)


def _labels(atoms: Atoms, info: dict[str, Any], theory: str) -> Labels:
    energy, forces = info.get(REF_ENERGY), atoms.arrays.get(REF_FORCES)
    stress = info.get(REF_STRESS)
    absent = energy is None and forces is None and stress is None
    # Results in a trajectory of ours are a model's predictions, never reference labels.
    if absent and atoms.calc is not None and info.get("strategy") != "md":
        results = atoms.calc.results
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


def to_ase(frame: Frame) -> Atoms:
    """An ASE structure with labels under ``REF_…``, origin in ``info`` and extras in arrays."""
    atoms = frame.to_atoms()
    atoms.info = dict(frame.info) | _header(frame)
    labels = frame.labels
    if labels.energy is not None:
        atoms.info[REF_ENERGY] = labels.energy
    if labels.stress is not None:
        atoms.info[REF_STRESS] = labels.stress.copy()
    for name, values in frame.arrays.items():
        atoms.set_array(name, np.array(values))
    if labels.forces is not None:
        atoms.set_array(REF_FORCES, labels.forces.copy())
    return atoms


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


# ── extended XYZ ──────────────────────────────────────────────────────────────
def write_extxyz(handle: IO[str], frames: Iterable[Frame]) -> None:
    """Write frames as extended XYZ that ``read`` restores bit for bit.

    Raises:
        DataError: A per-atom array that the format cannot hold.
    """
    for frame in frames:
        handle.write(f"{len(frame)}\n{_comment(frame)}\n")
        blocks = [frame.positions, *(values for _, values in _columns(frame))]
        cells = [[_text(v) for v in row] for row in _rows(blocks, len(frame))]
        symbols = frame.to_atoms().get_chemical_symbols()
        for symbol, values in zip(symbols, cells, strict=True):
            handle.write(f"{symbol} {' '.join(values)}\n")


def _rows(blocks: list[NDArray[Any]], n_atoms: int) -> Iterator[list[Any]]:
    lists = [np.asarray(block).reshape(n_atoms, -1).tolist() for block in blocks]
    for parts in zip(*lists, strict=True):
        yield [value for part in parts for value in part]


def _columns(frame: Frame) -> list[tuple[str, NDArray[Any]]]:
    extras = [(name, np.asarray(values)) for name, values in sorted(frame.arrays.items())]
    for name, values in extras:
        lossy = not re.fullmatch(r"\w+", name) or values.dtype.kind not in _COLUMN_TYPES
        lossy = lossy or values.ndim > 2
        if lossy or name in (*all_properties, "symbols", "pos", "species", "move_mask"):
            raise DataError(
                f"extended XYZ cannot keep the per-atom array '{name}'",
                where=f"frame {frame.id[:12]}",
                hint="write a .h5 file",
            )
    labels = frame.labels
    return extras if labels.forces is None else [*extras, (REF_FORCES, labels.forces)]


def _comment(frame: Frame) -> str:
    pieces = [f'Lattice="{" ".join(map(_text, frame.cell.ravel().tolist()))}"']
    properties = ["species:S:1:pos:R:3"]
    properties += [
        f"{name}:{_COLUMN_TYPES[values.dtype.kind]}:{values.shape[1] if values.ndim == 2 else 1}"
        for name, values in _columns(frame)
    ]
    pieces.append("Properties=" + ":".join(properties))
    pieces.append(f'pbc="{" ".join("T" if p else "F" for p in frame.pbc)}"')
    labels = frame.labels
    if labels.energy is not None:
        pieces.append(f"{REF_ENERGY}={labels.energy!r}")
    if labels.stress is not None:
        pieces.append(f'{REF_STRESS}="{" ".join(map(_text, labels.stress.ravel().tolist()))}"')
    for key, value in _header(frame).items():
        pieces.append(f"{key}={value}" if key in _NUMBER_KEYS else f"{key}={_quoted(value)}")
    plain = {k: v for k, v in frame.info.items() if _survives(k, v)}
    pieces += [f"{key}={_value(value)}" for key, value in plain.items()]
    rest = {
        "info": {k: v for k, v in frame.info.items() if k not in plain},
        "parameters": dict(frame.origin.parameters),
        "dtypes": {k: np.asarray(v).dtype.str for k, v in frame.arrays.items()},
    }
    kept = {k: json.loads(encode_metadata(v)) for k, v in rest.items() if v}
    if kept:
        pieces.append(f"trainspot={_quoted(json.dumps(kept, sort_keys=True))}")
    return " ".join(pieces)


def _survives(key: str, value: Any) -> bool:
    """Whether an entry of ``info`` comes back the same from a plain ``key=value``."""
    simple = type(value) in (bool, int, float, str) and not str(value).startswith("_JSON")
    if not simple or not re.fullmatch(r"[A-Za-z_]\w*", key) or key in _RESERVED | _XYZ_KEYS:
        return False
    back = key_val_str_to_dict(f"{key}={_value(value)}").get(key)
    if isinstance(back, np.generic):
        back = back.item()
    return type(back) is type(value) and back == value and not {"\n", "\r"} & set(str(value))


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    return _quoted(value) if isinstance(value, str) else repr(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    return repr(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _parse_comment(line: str) -> dict[str, Any]:
    """ASE's parser, but our text keys stay text even where they look like numbers."""
    info: dict[str, Any] = key_val_str_to_dict(line)
    for key in _TEXT_KEYS:
        found = re.search(rf'(?:^|\s){key}="((?:[^"\\]|\\.)*)"', line)
        if found:
            info[key] = re.sub(r"\\(.)", r"\1", found.group(1))
    for key, value in info.items():
        if isinstance(value, np.generic):
            info[key] = value.item()
    return info
