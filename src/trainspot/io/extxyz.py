"""Extended XYZ: writes files that come back bit for bit; ``xyz`` reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np
from ase.calculators.calculator import all_properties
from ase.io.extxyz import key_val_str_to_dict

from trainspot.data.frames import Frame
from trainspot.io.atoms import (
    NUMBER_KEYS,
    RESERVED,
    TEXT_KEYS,
    packed,
)
from trainspot.io.comment import parse
from trainspot.io.labels import REF_ENERGY, REF_FORCES, REF_STRESS

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES: Final = (".extxyz", ".xyz")

# Keys with a meaning in extended XYZ, which metadata must not use.
_XYZ_KEYS = {"Lattice", "Properties", "pbc", "virial", *all_properties}
# Columns that ASE does not read as per-atom arrays.
_XYZ_COLUMNS = {
    *(*all_properties, REF_FORCES, "symbols", "species", "numbers", "Z"),
    *("positions", "pos", "charge", "move_mask"),
}
_COLUMN_TYPES = {"f": "R", "i": "I", "b": "L"}


# ── writing ───────────────────────────────────────────────────────────────────
def write(handle: IO[str], frames: Iterable[Frame]) -> None:
    """Write frames as extended XYZ that comes back bit for bit.

    Data that the format cannot express (per-atom tensors, nested metadata …) go into the entry
    ``trainspot``, which other programs ignore.

    Raises:
        DataError: An extra with more digits than JSON keeps (long doubles).
    """
    for frame in frames:
        info, arrays = packed(frame, _survives, _fits)
        if frame.labels.forces is not None:
            arrays[REF_FORCES] = frame.labels.forces
        handle.write(f"{len(frame)}\n{_comment(frame, info, arrays)}\n")
        cells = [[_text(v) for v in row] for row in _rows([frame.positions, *arrays.values()])]
        symbols = frame.to_atoms().get_chemical_symbols()
        for symbol, values in zip(symbols, cells, strict=True):
            handle.write(f"{symbol} {' '.join(values)}\n")


def _rows(blocks: list[NDArray[Any]]) -> Iterator[list[Any]]:
    lists = [np.asarray(block).reshape(len(block), -1).tolist() for block in blocks]
    for parts in zip(*lists, strict=True):
        yield [value for part in parts for value in part]


def _fits(name: str, values: NDArray[Any]) -> bool:
    """Whether a per-atom array can be stored as columns."""
    if name in _XYZ_COLUMNS or not re.fullmatch(r"\w+", name):
        return False
    wide = values.dtype.itemsize > 8 or (values.ndim == 2 and values.shape[1] < 2)
    large = values.dtype.kind == "i" and bool(np.any(np.abs(values.astype("f8")) >= 2**31))
    return values.dtype.kind in _COLUMN_TYPES and values.ndim <= 2 and not (wide or large)


def _comment(frame: Frame, info: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> str:
    pieces = [f'Lattice="{" ".join(map(_text, frame.cell.ravel().tolist()))}"']
    properties = ["species:S:1:pos:R:3"]
    properties += [
        f"{name}:{_COLUMN_TYPES[values.dtype.kind]}:{values.shape[1] if values.ndim == 2 else 1}"
        for name, values in arrays.items()
    ]
    pieces.append("Properties=" + ":".join(properties))
    pieces.append(f'pbc="{" ".join("T" if p else "F" for p in frame.pbc)}"')
    labels = frame.labels
    if labels.energy is not None:
        pieces.append(f"{REF_ENERGY}={labels.energy!r}")
    if labels.stress is not None:
        pieces.append(f'{REF_STRESS}="{" ".join(map(_text, labels.stress.ravel().tolist()))}"')
    pieces += [f"{key}={_value(value)}" for key, value in info.items()]
    return " ".join(pieces)


def _survives(key: str, value: Any) -> bool:
    """Whether an entry of ``info`` comes back the same from a plain ``key=value``."""
    if {"\n", "\r"} & set(str(value)) or str(value).startswith("_JSON"):  # one line, no JSON
        return False
    if key in TEXT_KEYS or key in NUMBER_KEYS:  # the reader knows their types
        return True
    simple = type(value) in (bool, int, float, str) and value != ""  # ASE misreads empty values
    if not simple or not re.fullmatch(r"[A-Za-z_]\w*", key) or key in RESERVED | _XYZ_KEYS:
        return False
    written = f"{key}={_value(value)}"
    back = key_val_str_to_dict(written).get(key)  # the value for other programs
    if isinstance(back, np.generic):
        back = back.item()
    if type(parse(written).get(key)) is not type(value):
        return False
    return type(back) is type(value) and back == value


def _value(value: Any) -> str:
    return _quoted(value) if isinstance(value, str) else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "T" if value else "F"
    return repr(value)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
