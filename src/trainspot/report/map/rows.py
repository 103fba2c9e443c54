"""What the figure of a map draws: points, and what colours them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["number", "split", "word", "rest"]


@dataclass(frozen=True, slots=True)
class Group:
    """Points that look the same.

    Attributes:
        label: As in the legend.
        mask: Which points, (N,).
        kind: ``number`` of a sequence, ``split``, any other ``word``, or the ``rest``.
        place: Among the groups of its kind, from 0.
    """

    label: str
    mask: NDArray[np.bool_]
    kind: Kind
    place: int


@dataclass(frozen=True, slots=True)
class Marks:
    """A map with one colour key.

    Attributes:
        title: Of the map.
        points: (N, 2).
        is_open: Points with open markers, (N,).
        opened: In words, what open markers are; empty if the colours tell it.
        key: Name of the colour key, for the legend.
        groups: Points by value; empty on a scale.
        values: On a scale, what colours the points, (N,), not a number where it is unknown;
            else ``None``.
        limits: Ends of the scale.
        axes: Names of the axes; empty if directions mean nothing.
    """

    title: str
    points: NDArray[np.float64]
    is_open: NDArray[np.bool_]
    opened: str
    key: str
    groups: Sequence[Group]
    values: NDArray[np.float64] | None
    limits: tuple[float, float]
    axes: tuple[str, ...]
