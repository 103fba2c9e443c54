"""Maps in words and pictures: the figure with its caption, the counts, and the part of a report."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple

from trainspot.common.errors import InputError, MissingExtraError
from trainspot.maps.chart import EXPLORED, LABELLED, UNLABELLED, Descriptor, FrameMap, make
from trainspot.maps.choice import Limits
from trainspot.maps.embed import NEIGHBOURS, perplexity
from trainspot.report.map.figures import frame_map, groups, is_scale, label
from trainspot.report.pages.skeleton import Picture
from trainspot.report.pages.style import data_uri
from trainspot.report.pages.table import Table
from trainspot.report.quantities import number

if TYPE_CHECKING:
    from collections.abc import Callable

    from trainspot.report.findings.data import ReportData

IN_REPORT: Final = 1500
"""Frames on the map of a report: more take longer than reading it."""
KINETIC_SECONDS: Final = 20.0
"""CPU-seconds, estimated, for the frames on the kinetic map of a report."""
_KINETIC: Final = "A second map, by the kinetic SOREP descriptor of the paper"

_DESCRIPTORS: Final = {
    "structural": "Frames are near each other where the surroundings of their atoms are alike: the "
    "mean and the spread, over the atoms, of their SOAP power spectra.",
    "sorep": "Frames are near each other where the spectrum of the kinetic energy in a basis of "
    "atomic orbitals is alike: a fingerprint of the electronic structure that needs no electronic "
    "structure calculation (kinetic SOREP).",
}
_METHODS: Final = {
    "pca": "The plane shows the two directions in which frames differ most; distances in it are "
    "true, as far as two directions can show them.",
    "tsne": "t-SNE keeps neighbours together. Who is near whom counts; how far apart two groups "
    "are, how large they are, and the axes mean nothing.",
    "umap": "UMAP keeps neighbours together. Who is near whom counts; distances between groups "
    "say little, and the axes mean nothing.",
}


class Explored(NamedTuple):
    """What a report shows of what was explored.

    Attributes:
        pictures: The maps, that of structures first.
        tables: Frames on the map of structures.
        missing: Why there is nothing; empty if there is something.
        remarks: Why there is not more.
    """

    pictures: list[Picture]
    tables: list[Table]
    missing: str
    remarks: list[str]


def reading(chart: FrameMap) -> list[tuple[str, str]]:
    """What nearness means on this map, and what the plane is."""
    details = {
        "tsne": f" Perplexity {number(perplexity(len(chart)))}.",
        "umap": f" {min(NEIGHBOURS, len(chart) - 1)} neighbours.",
    }
    plane = _METHODS[chart.method] + details.get(chart.method, "")
    return [("Nearness", _DESCRIPTORS[chart.descriptor]), ("Plane", plane)]


def picture(chart: FrameMap, colour: str) -> Picture:
    """The figure with its caption and the words that stand in for it."""
    caption = f"{len(chart)} frames by {colour}, as {chart.title}."
    if EXPLORED in chart.status:
        caption += (
            " Full markers are labelled frames; small open ones were met in exploration and not "
            "chosen for labelling."
        )
    alt = "Scatter plot of frames in a plane; how many of which kind is in the table of counts."
    return Picture(data_uri(frame_map(chart, colour)), caption, alt)


def counts(chart: FrameMap, colour: str) -> Table:
    """Frames on the map by colour (or, on a scale, together) and status."""
    kinds = [kind for kind in (LABELLED, UNLABELLED, EXPLORED) if kind in chart.status]
    values = chart.values(colour)
    if is_scale(values):
        named = [("all", [True] * len(chart))]
    else:
        named = [(group.label, group.mask.tolist()) for group in groups(values, colour)]
    rows = []
    for name, mask in named:
        here = [status for status, shown in zip(chart.status, mask, strict=True) if shown]
        rows.append([name, *(str(here.count(kind)) for kind in kinds), str(len(here))])
    header = [label(colour), *(kind.capitalize() for kind in kinds), "All"]
    return Table("Frames on the map.", header, rows)


def explored(data: ReportData, progress: Callable[[int, int], None] | None = None) -> Explored:
    """The maps of a campaign; without the libraries it says how to get them.

    Args:
        data: The campaign.
        progress: Called with frames done and all frames while the kinetic map is made.
    """
    try:
        chart = _chart(data, "structural", Limits(frames=IN_REPORT))
    except MissingExtraError as error:
        pictures, tables, missing = [], [], f"The map needs a library: {error}."
    except InputError:  # no frame of more than one atom
        return Explored([], [], "There is nothing to put on a map yet.", [])
    else:
        drawn = picture(chart, "iteration")
        pictures = [replace(drawn, caption=" ".join([drawn.caption, *_words(chart)]))]
        tables, missing = [counts(chart, "iteration")], ""
    try:
        chart = _chart(data, "sorep", Limits(seconds=KINETIC_SECONDS), progress)
    except MissingExtraError as error:
        return Explored(pictures, tables, missing, [f"{_KINETIC}, needs a library: {error}."])
    except InputError as error:
        return Explored(pictures, tables, missing, [f"{_KINETIC}, is not drawn: {error}."])
    drawn = kinetic(chart, again=bool(pictures))
    tables = [replace(table, caption="Frames on the first map.") for table in tables]
    return Explored([*pictures, drawn], tables, "", [missing] if missing else [])


def kinetic(chart: FrameMap, *, again: bool) -> Picture:
    """The map by the paper's descriptor, with how many frames of each kind are on it.

    Args:
        chart: The map.
        again: How to read one is explained already.
    """
    kinds = [kind for kind in (LABELLED, UNLABELLED, EXPLORED) if kind in chart.status]
    listed = ", ".join(f"{chart.status.count(kind)} {kind}" for kind in kinds)
    drawn = picture(chart, "iteration")
    caption = drawn.caption
    if again:
        caption = f"The same by the descriptor of the paper: {len(chart)} frames, as {chart.title}."
    words = [caption, *_words(chart, again=again)]
    if any(note.startswith("Drawn") for note in chart.notes):
        words.append("trainspot map with --descriptor sorep draws more.")
    alt = f"Scatter plot of {len(chart)} frames in a plane: {listed}."
    return Picture(drawn.source, " ".join(words), alt)


def _chart(
    data: ReportData,
    descriptor: Descriptor,
    limits: Limits,
    progress: Callable[[int, int], None] | None = None,
) -> FrameMap:
    return make(
        data.dataset,
        explored=data.explored,
        descriptor=descriptor,
        method="tsne" if _has_tsne() else "pca",
        limits=limits,
        progress=progress,
    )


def _has_tsne() -> bool:
    return find_spec("sklearn") is not None


def _words(chart: FrameMap, *, again: bool = False) -> list[str]:
    """What goes below a map: how to read it, unless the plane is known, and who is not on it."""
    words = [meaning for key, meaning in reading(chart) if key != "Plane" or not again]
    if not _has_tsne() and not again:
        words.append("With pip install 'trainspot[map]' it would be a t-SNE.")
    return words + [re.sub(r" \(--max-\w+\)", "", note) for note in chart.notes]
