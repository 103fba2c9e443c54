"""A map with its caption, its counts and an explanation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from trainspot.maps.chart import EXPLORED, LABELLED, UNLABELLED
from trainspot.maps.embed import NEIGHBOURS, perplexity
from trainspot.report.map.figures import frame_map
from trainspot.report.map.marks import groups, is_scale, label, marks
from trainspot.report.pages.skeleton import Picture
from trainspot.report.pages.style import data_uri
from trainspot.report.pages.table import Table
from trainspot.report.quantities import number

if TYPE_CHECKING:
    from trainspot.maps.chart import FrameMap

KINDS: Final = (LABELLED, UNLABELLED, EXPLORED)
"""The status of a frame on a map, in the order of tables."""

_DESCRIPTORS: Final = {
    "structural": "Two frames are close to each other if the surroundings of their atoms are "
    "similar. A frame is described by the mean and the spread of the SOAP power spectra of its "
    "atoms.",
    "sorep": "Two frames are close to each other if their kinetic-energy spectra in a basis of "
    "atomic orbitals are similar (kinetic SOREP). The spectrum resembles that of an electronic "
    "structure, but needs no DFT calculation.",
}
_METHODS: Final = {
    "pca": "The axes are the two directions in which the frames differ most. Distances on the "
    "map are true distances of the descriptors, projected onto these two directions.",
    "tsne": "t-SNE keeps similar frames together. Only neighbours have a meaning: the axes, the "
    "size of a group and the distance between two groups have none.",
    "umap": "UMAP keeps similar frames together. Mainly neighbours have a meaning: the axes have "
    "none, and the distance between two groups says little.",
}


def reading(chart: FrameMap) -> list[tuple[str, str]]:
    """The meaning of distances and axes on the map."""
    details = {
        "tsne": f" Perplexity {number(perplexity(len(chart)))}.",
        "umap": f" {min(NEIGHBOURS, len(chart) - 1)} neighbours.",
    }
    plane = _METHODS[chart.method] + details.get(chart.method, "")
    return [("Similarity", _DESCRIPTORS[chart.descriptor]), ("Axes", plane)]


def picture(chart: FrameMap, colour: str) -> Picture:
    """The figure with a caption and an alternative text."""
    caption = f"{len(chart)} frames, coloured by {colour}: {chart.title}."
    if EXPLORED in chart.status:
        caption += (
            " Full markers are labelled frames. Small open markers are frames that exploration "
            "visited and that were not chosen for labelling."
        )
    alt = "Scatter plot of frames in a plane; the table of counts has their numbers."
    return Picture(data_uri(frame_map(marks(chart, colour))), caption, alt)


def counts(chart: FrameMap, colour: str) -> Table:
    """Frames on the map by colour (or, on a scale, together) and status."""
    kinds = [kind for kind in KINDS if kind in chart.status]
    values = chart.values(colour)
    if is_scale(values):
        named = [("all", [True] * len(chart))]
    else:
        named = [(group.label, group.mask.tolist()) for group in groups(values)]
    rows = []
    for name, mask in named:
        here = [status for status, shown in zip(chart.status, mask, strict=True) if shown]
        rows.append([name, *(str(here.count(kind)) for kind in kinds), str(len(here))])
    header = [label(colour), *(kind.capitalize() for kind in kinds), "All"]
    return Table("Frames on the map.", header, rows)
