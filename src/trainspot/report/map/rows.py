"""Data of the figure of a map: points and their colours."""

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
    """Points with the same colour and marker.

    Attributes:
        label: Text in the legend.
        mask: Mask of the points, (N,).
        kind: ``number`` of a sequence, ``split``, any other ``word``, or the ``rest``.
        place: Index among the groups of this kind, from 0.
    """

    label: str
    mask: NDArray[np.bool_]
    kind: Kind
    place: int


@dataclass(frozen=True, slots=True)
class Marks:
    """A map with one colour key.

    Attributes:
        title: Title of the map.
        points: Positions, (N, 2).
        is_open: Mask of open markers, (N,).
        opened: Meaning of open markers; empty if the colours show it.
        key: Name of the colour key, for the legend.
        groups: Points by value; empty on a scale.
        values: On a scale, values of the points, (N,), not a number if unknown; else ``None``.
        limits: Ends of the scale.
        axes: Names of the axes; empty if directions have no meaning.
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
