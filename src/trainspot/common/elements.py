"""Elements by name and number, and the error for an element that a model does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ase.data import atomic_numbers, chemical_symbols

from trainspot.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

_NAMED: Final = 10
"""The most elements of a model that an error lists."""


def symbols(numbers: Iterable[int]) -> str:
    """``C, Si``: the chemical symbols of atomic numbers, each once, in the order of the numbers."""
    return ", ".join(chemical_symbols[number] for number in sorted({int(n) for n in numbers}))


def is_element(symbol: str) -> bool:
    """Whether this is a chemical symbol; ase also has ``X``, which stands for no element."""
    return bool(atomic_numbers.get(symbol, 0) > 0)


def check_symbols(names: Iterable[str]) -> None:
    """Refuse names that are no elements; for validators of pydantic.

    Raises:
        ValueError: Names the first such name.
    """
    for name in names:
        if not is_element(name):
            raise ValueError(f"'{name}' is not an element")


def numbers_of(names: Iterable[str], *, where: str = "", hint: str = "") -> list[int]:
    """Atomic numbers of chemical symbols.

    Raises:
        InputError: The first name that is no element, at this place and with this hint.
    """
    numbers = []
    for name in names:
        if not is_element(name):
            raise InputError(f"there is no element '{name}'", where=where, hint=hint)
        numbers.append(int(atomic_numbers[name]))
    return numbers


def by_number(values: Mapping[str, float]) -> dict[int, float]:
    """Values of elements by atomic number; names that are no elements are left out.

    Args:
        values: By chemical symbol.
    """
    return {int(atomic_numbers[name]): value for name, value in values.items() if is_element(name)}


def check_known(
    numbers: Iterable[int],
    known: Collection[int],
    *,
    who: str = "the model",
    where: str = "",
    remedy: str = "train it on frames of the missing elements too",
) -> None:
    """Refuse elements that a model was not trained on.

    Args:
        numbers: Atomic numbers of the frames.
        known: Atomic numbers of the model.
        who: What the error calls the model.
        where: The place of the error.
        remedy: What to do.

    Raises:
        InputError: Names the elements, and those that the model knows.
    """
    foreign = {int(number) for number in numbers} - set(known)
    if not foreign:
        return
    listed = symbols(sorted(known)[:_NAMED]) + " and others" * (len(known) > _NAMED)
    raise InputError(
        f"{who} does not know {symbols(foreign)}",
        where=where,
        hint=f"it knows {listed}; {remedy}",
    )
