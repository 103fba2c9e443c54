"""Checks before the first label with pw.x: pseudopotentials, electrons, memory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from aiida_trainspot.workflows.label import pseudos
from trainspot.common.errors import InputError
from trainspot.common.text import counted
from trainspot.engine import Remark
from trainspot.label import electrons
from trainspot.label.pw_memory import memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aiida_trainspot.workflows.preflight import FirstLabels
    from trainspot.data.dataset import Dataset
    from trainspot.engine import Preflight
    from trainspot.label.quantumespresso import QuantumEspressoSettings


def pseudopotentials(facts: Preflight) -> Iterator[Remark]:
    """Check that the family is installed and has all elements."""
    name = facts.settings.pseudo_family
    family = pseudos.family(name)
    if family is None:
        hint = "run: trainspot setup, or aiida-pseudo install"
        yield _error(InputError(f"no pseudopotential family '{name}'", hint=hint))
        return
    yield from _lacking(family, name, facts.inputs.species)


def _lacking(family: Any, name: str, species: Iterable[str]) -> Iterator[Remark]:
    """An error for each element without a pseudopotential."""
    has = set(family.elements)
    for element in (symbol for symbol in species if symbol not in has):
        what = f"element {element} has no pseudopotential in '{name}'"
        hint = "choose or install a label.pseudo_family with this element"
        yield _error(InputError(what, hint=hint))


def labels(first: FirstLabels) -> Iterator[Remark]:
    """Check fixed occupations against the electrons, and the memory."""
    settings: QuantumEspressoSettings = first.settings
    family = pseudos.family(settings.pseudo_family)  # it exists: checked before
    # Strategies such as alloy bring elements that the inputs do not have.
    if lacking := list(_lacking(family, settings.pseudo_family, first.frames.species)):
        yield from lacking
        return
    if electrons.are_fixed(settings):
        valences = pseudos.valences(family, first.frames.species)
        yield from electrons.foresee(first.frames, settings, valences)
    if first.is_thorough:
        yield from _memory(first, family)


def _memory(first: FirstLabels, family: Any) -> Iterator[Remark]:
    """Compare the memory of the most demanding label with that of the machine or the job."""
    frames, settings = first.frames, first.settings
    if settings.ecutwfc is None:
        try:
            settings = settings.with_cutoffs(pseudos.cutoffs(family, frames.species))
        except InputError as error:
            yield _error(error)
            return
    most, n_atoms, impossible = _largest(frames, settings, family)
    for reason, count in impossible.items():
        yield Remark("warning", f"{count} of {len(frames)} frames cannot be labelled: {reason}")
    yield Remark(
        "note", f"the largest label, {counted(n_atoms, 'atom')}, needs about {most:.2g} GB"
    )
    if first.shares_machine:
        hint = "lower label.max_concurrent or the size of the supercells"
        where = f"this machine has {first.memory:.2g} GB"
    else:
        hint = "ask for more nodes or memory under resources"
        where = f"the job has {first.memory:.2g} GB"
    at_once = min(first.at_once, len(frames))
    if at_once * most > first.memory:
        text = f"{counted(at_once, 'label')} at the same time may need {at_once * most:.2g} GB"
        yield Remark("warning", f"{text}: {where}; {hint}")


def _largest(
    frames: Dataset, settings: QuantumEspressoSettings, family: Any
) -> tuple[float, int, Counter[str]]:
    """Memory (GB) and atoms of the most demanding label; counts of impossible labels by reason."""
    valences = pseudos.valences(family, frames.species)
    most, n_atoms, impossible = 0.0, 0, Counter[str]()
    for frame in frames:
        try:
            needed = memory(frame, settings, valences)
        except InputError as error:
            impossible[str(error)] += 1
            continue
        most, n_atoms = max((most, n_atoms), (needed, len(frame)))
    return most, n_atoms, impossible


def _error(error: InputError) -> Remark:
    return Remark("error", str(error))
