"""Whether an engine computes the electronic state of a frame.

A frame may have a charge and a spin (``trainspot.data.state``). A label of another state would be
wrong without a warning, so an engine that cannot compute this state does not label the frame.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from trainspot.data.state import CHARGE, MOMENTS

if TYPE_CHECKING:
    from trainspot.data.frames import Frame

# Names of a closed shell, in numbers and in words.
_CLOSED: Final = {
    "multiplicity": (1.0,),
    "mult": (1.0,),
    "spinmultiplicity": (1.0,),
    "spin": (0.0, 1.0),
    "totalspin": (0.0, 1.0),
    "totspin": (0.0, 1.0),
}
_CLOSED_WORDS: Final = frozenset({"nm", "nonmagnetic", "non-magnetic", "singlet", "none"})


def charge_of(frame: Frame) -> float:
    """The total charge of a frame, e; 0 for a frame without a charge."""
    charge = frame.state.get(CHARGE, 0.0)
    return float(charge) if isinstance(charge, int | float) else 0.0


def not_computed(frame: Frame, passed: Collection[str], fixed: Mapping[str, Any]) -> str:
    """The reason why an engine cannot label a frame; empty if it can.

    Args:
        frame: The frame.
        passed: Names of the state variables, see ``state.electronic_state``, that the engine passes
            to its program.
        fixed: State variables that the settings fix for all frames: ``charge`` and ``spin``.
    """
    for name, value in frame.state.items():
        if name in passed or _is_closed_shell(name, value):
            continue
        if name == CHARGE and value == fixed.get(CHARGE):
            continue
        if name not in (CHARGE, MOMENTS) and "spin" in fixed:
            continue
        return f"the frame has {name} {_short(value)}, which this engine cannot compute"
    return ""


def _is_closed_shell(name: str, value: Any) -> bool:
    if isinstance(value, str):
        return value in _CLOSED_WORDS
    return value in _CLOSED.get(name, (0.0,))


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else "…"
