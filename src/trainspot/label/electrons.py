"""Electrons in pw.x: charge and spin of a frame, and the limits of fixed occupations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ase.data import atomic_numbers

from trainspot.common.errors import InputError
from trainspot.common.text import counted
from trainspot.data.isolated import is_isolated_atom
from trainspot.data.state import CHARGE, MOMENTS
from trainspot.engine import Remark
from trainspot.label.base import atomic_moment
from trainspot.label.states import charge_of, not_computed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from trainspot.data.dataset import Dataset
    from trainspot.data.frames import Frame
    from trainspot.label.quantumespresso import QuantumEspressoSettings

_OPEN_CORES: Final = frozenset(range(57, 72))
"""Lanthanides: some of their pseudopotentials freeze an odd number of electrons."""
_UNGUIDED_MAGNETISATION: Final = 0.5
"""Share of the valence electrons that start polarised when no moments are given."""


def spin(
    frame: Frame, settings: QuantumEspressoSettings, valences: Mapping[str, float]
) -> dict[str, Any]:
    """Keywords for the moments that the settings and the frame ask for.

    Args:
        frame: The frame.
        settings: The engine's.
        valences: Valence electrons of each element's pseudopotential.

    Raises:
        InputError: pw.x has no keyword for these moments.
    """
    alone = atomic_moment(frame)
    if not (alone or settings.spin):
        return {}
    start, own = {}, {} if alone else _own_moments(frame)
    for symbol in sorted(set(frame.to_atoms().symbols)):
        if not (alone or own or settings.moments):
            start[symbol] = _UNGUIDED_MAGNETISATION
            continue
        moment = alone or own.get(symbol, settings.moments.get(symbol, 0.0))
        if moment and symbol not in valences:
            raise InputError(f"the number of valence electrons of {symbol} is not known")
        start[symbol] = min(1.0, max(-1.0, moment / valences[symbol])) if moment else 0.0
    return {"nspin": 2, "starting_magnetization": start}


def _own_moments(frame: Frame) -> dict[str, float]:
    """The starting moment, µB, of each element of a frame; empty if the frame has no moments.

    Raises:
        InputError: Atoms of one element start from different moments, or moments are vectors.
    """
    if MOMENTS not in frame.state:
        return {}
    by_symbol: dict[str, float] = {}
    moments = np.asarray(frame.arrays[MOMENTS], dtype=np.float64)
    for symbol, moment in zip(frame.to_atoms().symbols, moments.tolist(), strict=True):
        if by_symbol.setdefault(symbol, moment) != moment or moments.ndim > 1:
            raise InputError(
                f"atoms of {symbol} start from different moments, which pw.x cannot use",
                hint="leave initial_magmoms out, or label with another engine",
            )
    return by_symbol


def charge(frame: Frame, settings: QuantumEspressoSettings) -> dict[str, Any]:
    """Keywords for the charge that the frame asks for.

    Raises:
        InputError: The frame asks for a state that is not computed.
    """
    system = settings.parameters.get("SYSTEM", {})
    state = {CHARGE: system["tot_charge"]} if "tot_charge" in system else {}
    spin = {"nspin", "tot_magnetization", "starting_magnetization"} & system.keys()
    state |= {"spin": True} if spin else {}
    passed = {MOMENTS} if CHARGE in state else {MOMENTS, CHARGE}
    if reason := not_computed(frame, passed, state):
        raise InputError(reason, hint="set it in label.parameters, or remove it from the frame")
    total = charge_of(frame)
    return {"tot_charge": total} if total and CHARGE not in state else {}


def with_moments(dataset: Dataset) -> int:
    """Frames without labels that start from moments of their own, isolated atoms left out."""
    bodies = (f for f in dataset.frames(labelled=False) if not is_isolated_atom(f))
    return sum(MOMENTS in frame.state for frame in bodies)


def are_fixed(settings: QuantumEspressoSettings) -> bool:
    """Whether each level is filled by two electrons or none, in all but isolated atoms."""
    system = settings.parameters.get("SYSTEM", {})
    occupations = system.get("occupations", settings.occupations)
    magnetic = settings.spin or system.get("nspin", 1) != 1 or bool(system.get("noncolin"))
    return occupations == "fixed" and not magnetic


def odd(
    frames: Iterable[Frame],
    settings: QuantumEspressoSettings,
    valences: Mapping[str, float] | None = None,
) -> list[Frame]:
    """The frames with an odd number of electrons, if occupations are fixed and without spin.

    Cores are closed shells, so atomic numbers are enough where the pseudopotentials are unknown,
    except in frames with lanthanides: these are skipped.

    Args:
        frames: What will be labelled.
        settings: The engine's.
        valences: Valence electrons of each element's pseudopotential.
    """
    if not are_fixed(settings):
        return []
    system = settings.parameters.get("SYSTEM", {})
    tot_charge = system.get("tot_charge")
    everywhere = "occupations" in system  # then isolated atoms are not smeared either
    odd_frames = []
    for frame in frames:
        symbols = frame.to_atoms().get_chemical_symbols()
        if is_isolated_atom(frame) and not everywhere:
            continue
        if valences is not None and all(symbol in valences for symbol in symbols):
            electrons = sum(valences[symbol] for symbol in symbols)
        elif _OPEN_CORES.intersection(frame.numbers.tolist()):
            continue
        else:
            electrons = sum(atomic_numbers[symbol] for symbol in symbols)
        total = charge_of(frame) if tot_charge is None else float(tot_charge)
        if abs((electrons - total) % 2) > 1e-6:
            odd_frames.append(frame)
    return odd_frames


def foresee(
    frames: Dataset,
    settings: QuantumEspressoSettings,
    valences: Mapping[str, float] | None = None,
) -> Iterator[Remark]:
    """Whether fixed occupations suit the electrons of the frames that pw.x will label.

    Args:
        frames: The frames that will be labelled first.
        settings: The engine's.
        valences: Valence electrons of each element's pseudopotential, if they are known.
    """
    if odd_frames := odd(frames, settings, valences):
        formula = odd_frames[0].to_atoms().get_chemical_formula()
        count = f"{len(odd_frames)} of {counted(len(frames), 'frame')}"
        text = (
            f"{count} to be labelled have an odd number of electrons ({formula} is the first); "
            "pw.x refuses them with occupations: fixed and without spin; "
            "write occupations: smearing, or set tot_charge"
        )
        yield Remark("error" if len(odd_frames) == len(frames) else "warning", text)
