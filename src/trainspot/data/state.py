"""The electronic state of a calculation, in addition to the geometry.

Charge, spin and starting moments are not part of the geometry, but they affect the energy: a water
molecule and its cation are two frames. ``electronic_state`` collects the state from a file, under
all usual names, and ``frames.frame_id`` makes it part of the identity of a frame.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOMENTS: Final = "initial_magmoms"
"""Name of the per-atom extra with the starting moments of a label, µB, (n,); as in ASE."""

CHARGES: Final = "initial_charges"
"""Name of the per-atom extra with the starting charges of a label, e, (n,); as in ASE."""

INHERITED: Final = (CHARGES, MOMENTS, "masses", "tags")
"""Names of the per-atom extras that a frame inherits from its parent."""

CHARGE: Final = "charge"
"""Name of the total charge, e, in a state; files use various names."""

# In the form of `_plain`: only small letters and digits.
_CHARGE_NAMES: Final = frozenset(
    {"charge", "totalcharge", "totcharge", "netcharge", "systemcharge", "cellcharge",
     "molecularcharge", "moleculecharge", "chargestate", "qtot", "totalq"}
)  # fmt: skip
_SPIN_NAMES: Final = frozenset(
    {"spin", "totalspin", "totspin", "multiplicity", "mult", "spinmultiplicity", "spinstate",
     "unpairedelectrons", "unpaired", "numunpairedelectrons", "nupdown", "uhf",
     "totalmagnetization", "totmagnetization", "magneticorder", "magneticordering",
     "magneticstate", "magorder", "spinorder", "spinpolarized", "electronicstate"}
)  # fmt: skip
_FIELD_NAMES: Final = frozenset({"electricfield", "efield", "externalfield"})
_NAMES: Final = _CHARGE_NAMES | _SPIN_NAMES | _FIELD_NAMES

_DIGITS: Final = 6  # decimals that distinguish two numbers of a state: 1e-6 e or µB


def electronic_state(info: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Charge, spin, starting moments and fields from metadata and extras of a frame.

    Without a total charge the sum of the atomic charges counts: ASE's calculators take this sum as
    the total charge. A total charge, moments or fields of zero are left out: they are the state of
    a frame without such entries.

    Args:
        info: Metadata of a frame.
        arrays: Per-atom extras of the frame, each (n, …).

    Returns:
        JSON values by name: the total charge (e) as ``charge``, everything else by its name in the
        file, in small letters without underscores; empty for a frame without such entries.
    """
    state: dict[str, Any] = {}
    if CHARGES in arrays:
        state[CHARGE] = _rounded(np.sum(arrays[CHARGES])).tolist()
    for key in state_keys(info):
        name = _plain(key)
        if (value := _value(info[key])) is not None:
            state[CHARGE if name in _CHARGE_NAMES else name] = value
    if MOMENTS in arrays:
        state[MOMENTS] = _rounded(arrays[MOMENTS]).tolist()
    return {name: value for name, value in state.items() if name in _SPIN_NAMES or _says(value)}


def state_bytes(state: Mapping[str, Any]) -> bytes:
    """A state as bytes; equal states have equal bytes, an empty state has none."""
    return json.dumps(dict(state), sort_keys=True).encode() if state else b""


def state_keys(info: Mapping[str, Any]) -> list[str]:
    """The metadata keys of the electronic state, in their original spelling."""
    return sorted(key for key in info if _plain(key) in _NAMES)


def worded(state: Mapping[str, Any]) -> str:
    """A state in a few words for messages: ``charge -1, multiplicity 2``."""
    return ", ".join(
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in state.items()
    )


@lru_cache(maxsize=4096)
def _plain(key: str) -> str:
    return re.sub(r"[\W_]+", "", key).lower()


def _value(value: Any) -> Any:
    """A JSON value; it is the same for 1, 1.0, "1" and array(1)."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return value.strip().lower() or None
    if isinstance(value, Mapping) or value is None:
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        return str(value).strip().lower()
    return _rounded(array).tolist()


def _rounded(values: NDArray[Any]) -> NDArray[np.float64]:
    rounded = np.asarray(np.round(np.asarray(values, dtype=np.float64), _DIGITS), dtype=np.float64)
    return rounded + 0.0  # no negative zeros


def _says(value: Any) -> bool:
    return isinstance(value, str) or bool(np.any(np.asarray(value, dtype=np.float64)))
