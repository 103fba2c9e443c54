"""The properties that are labelled, predicted and judged: their names, titles and units."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, get_args

Property = Literal["energy", "forces", "stress"]
"""A property by its name in files, records and settings."""

PROPERTIES: Final[tuple[Property, ...]] = get_args(Property)
"""In the order of every table and figure."""


class Words(NamedTuple):
    """Names and units of a property.

    Attributes:
        title: Name in headings and axis labels.
        unit: Unit of errors, disagreements and tolerances: energies are per atom.
        label_unit: Unit of a label: the energy of a whole frame.
    """

    title: str
    unit: str
    label_unit: str


WORDS: Final[Mapping[str, Words]] = MappingProxyType(
    {
        "energy": Words("Energy per atom", "eV/atom", "eV"),
        "forces": Words("Forces", "eV/Å", "eV/Å"),
        "stress": Words("Stress", "eV/Å³", "eV/Å³"),
    }
)

UNITS: Final[Mapping[str, str]] = MappingProxyType({n: w.unit for n, w in WORDS.items()})
"""Units of errors, disagreements and tolerances."""
