"""From a map to the data of its figure: ``marks``, and the groups of one colour each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from trainspot.data.frames import SPLITS
from trainspot.maps.chart import EXPLORED, LABELLED, FrameMap
from trainspot.report.map.rows import Group, Kind, Marks

if TYPE_CHECKING:
    from numpy.typing import NDArray

MANY: Final = 12
"""More whole numbers than this are a scale, and more words than this share a colour."""
OTHERS: Final = "others"
UNKNOWN: Final = "unknown"

_LABELS: Final = {
    "iteration": "Iteration",
    "strategy": "Strategy",
    "split": "Split",
    "status": "Status",
    "energy": "Energy (eV/atom)",
    "atoms": "Atoms",
}


def label(key: str) -> str:
    """The name of the colour key in a legend."""
    return _LABELS.get(key, key)


def is_scale(values: list[Any]) -> bool:
    """Whether values need a continuous scale: numbers, except a few whole numbers."""
    present = [value for value in values if value is not None]
    if not present or any(isinstance(value, str | bool) for value in present):
        return False
    return any(isinstance(v, float) and v != int(v) for v in present) or len(set(present)) > MANY


def groups(values: list[Any]) -> list[Group]:
    """The values as groups; whole numbers and splits in order, other words by frequency."""
    present = [value for value in values if value is not None]
    named: dict[Any, str]
    if present and not any(isinstance(value, str | bool) for value in present):
        kind: Kind = "number"
        named = {value: f"{value:g}" for value in sorted(set(present))}
    elif present and set(present) <= set(SPLITS):
        kind = "split"
        named = {name: name for name in SPLITS if name in present}
    else:
        kind = "word"
        named = {value: str(value) for value in _frequent(present)}
    labels = np.array([named.get(v, UNKNOWN if v is None else OTHERS) for v in values])
    shown = [Group(name, labels == name, kind, n) for n, name in enumerate(named.values())]
    for place, name in enumerate((OTHERS, UNKNOWN)):
        if name not in named.values():
            shown.append(Group(name, labels == name, "rest", place))
    return [group for group in shown if group.mask.any()]


def _frequent(values: list[Any]) -> list[Any]:
    """The most frequent values, then by name."""
    counts: dict[Any, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return sorted(counts, key=lambda value: (-counts[value], str(value)))[:MANY]


def marks(chart: FrameMap, key: str) -> Marks:
    """The map, its points coloured by ``key``.

    Full markers are labelled frames. Open markers are explored frames that were not chosen, and
    frames without labels. Without any label, all markers are full.
    """
    values = chart.values(key)
    is_open = _is_open(chart, key)
    statuses = sorted({s for s, o in zip(chart.status, is_open, strict=True) if o})
    numbers, limits = None, (0.0, 1.0)
    if is_scale(values):
        numbers = np.array([np.nan if value is None else float(value) for value in values])
        low, high = np.nanpercentile(numbers, [2, 98]).tolist()
        limits = (low, high if high > low else low + 1.0)
    return Marks(
        title=chart.title,
        points=chart.points,
        is_open=is_open,
        opened="" if key == "status" else " or ".join(statuses),
        key=label(key),
        groups=[] if numbers is not None else groups(values),
        values=numbers,
        limits=limits,
        axes=("First principal component", "Second principal component")
        if chart.method == "pca"
        else (),
    )


def _is_open(chart: FrameMap, key: str) -> NDArray[np.bool_]:
    """Mask of open markers, (N,); with the key ``status`` only explored frames are open."""
    if key == "status":
        return np.array([status == EXPLORED for status in chart.status], dtype=np.bool_)
    is_open = np.array([status != LABELLED for status in chart.status], dtype=np.bool_)
    return is_open & (not is_open.all())
