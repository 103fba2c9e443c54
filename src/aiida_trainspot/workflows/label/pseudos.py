"""Installed families of pseudopotentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainspot.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable


def family(label: str) -> Any | None:
    """The pseudopotential family with this label, or ``None``."""
    from aiida.orm import (
        Group,
        QueryBuilder,
    )  # the set-up imports this module before it has a profile

    query = QueryBuilder().append(
        Group, filters={"label": label, "type_string": {"like": "pseudo.family%"}}
    )
    return query.first(flat=True)


def valences(family: Any, species: Iterable[str]) -> dict[str, float]:
    """Valence electrons of each element that the family has."""
    has = set(family.elements)
    return {
        element: float(family.get_pseudo(element).z_valence)
        for element in species
        if element in has
    }


def cutoffs(family: Any, species: Iterable[str]) -> dict[str, tuple[float, float]]:
    """Cutoffs of waves and density, Ry, that a family recommends for each element.

    Raises:
        InputError: The family recommends no cutoffs.
    """
    try:
        return {
            element: family.get_recommended_cutoffs(elements=(element,), unit="Ry")
            for element in species
        }
    except (AttributeError, ValueError) as error:
        raise InputError(
            "the family recommends no cutoffs",
            where=f"family '{family.label}'",
            hint="set ecutwfc and ecutrho (Ry)",
        ) from error
