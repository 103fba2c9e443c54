"""Counting electrons: what pw.x cannot fill with fixed occupations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ase.data import atomic_numbers

from trainspot.common.text import counted
from trainspot.data.isolated import is_isolated_atom
from trainspot.engine import Remark
from trainspot.label.states import charge_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from trainspot.data.dataset import Dataset
    from trainspot.data.frames import Frame
    from trainspot.label.quantumespresso import QuantumEspressoSettings

_OPEN_CORES: Final = frozenset(range(57, 72))
"""Lanthanides: pseudopotentials of some freeze an odd number of electrons."""


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
    """The frames whose electrons fixed occupations cannot fill, where none is spin-polarised.

    Cores are closed shells, so that atomic numbers tell where pseudopotentials are not known;
    frames with lanthanides are not judged by these.

    Args:
        frames: What will be labelled.
        settings: The engine's.
        valences: Valence electrons of each element's pseudopotential.
    """
    if not are_fixed(settings):
        return []
    system = settings.parameters.get("SYSTEM", {})
    given = system.get("tot_charge")
    everywhere = "occupations" in system  # isolated atoms too, which else are smeared
    found = []
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
        charge = charge_of(frame) if given is None else float(given)
        if abs((electrons - charge) % 2) > 1e-6:
            found.append(frame)
    return found


def foresee(
    frames: Dataset,
    settings: QuantumEspressoSettings,
    valences: Mapping[str, float] | None = None,
) -> Iterator[Remark]:
    """Whether fixed occupations suit the electrons of what pw.x will be asked for.

    Args:
        frames: Those that will be labelled first.
        settings: The engine's.
        valences: Valence electrons of each element's pseudopotential, if they are known.
    """
    if found := odd(frames, settings, valences):
        formula = found[0].to_atoms().get_chemical_formula()
        text = (
            f"occupations: fixed, but {len(found)} of {counted(len(frames), 'frame')} to be "
            f"labelled have an odd number of electrons, {formula} first, which pw.x refuses "
            "without spin; write occupations: smearing, or set tot_charge"
        )
        yield Remark("error" if len(found) == len(frames) else "warning", text)
