"""Maps in words and pictures: the figure with its caption, the counts, and the part of a report."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple

from trainspot.errors import InputError, MissingExtraError
from trainspot.maps.chart import EXPLORED, LABELLED, UNLABELLED, FrameMap, make
from trainspot.maps.embed import NEIGHBOURS, perplexity
from trainspot.report.figures.maps import frame_map, groups, is_scale, label
from trainspot.report.pictures import Picture
from trainspot.report.quantities import number
from trainspot.report.style import data_uri
from trainspot.report.tables import Table

if TYPE_CHECKING:
    from trainspot.report.data import ReportData

IN_REPORT: Final = 1500
"""Frames on the map of a report: more take longer than reading it."""

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
    """What a report shows of what was explored; ``missing`` says why there is nothing."""

    pictures: list[Picture]
    tables: list[Table]
    missing: str


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


def explored(data: ReportData) -> Explored:
    """The map of a campaign; without the libraries it says how to get them."""
    has_tsne = find_spec("sklearn") is not None
    try:
        chart = make(
            data.dataset,
            explored=data.explored,
            method="tsne" if has_tsne else "pca",
            max_frames=IN_REPORT,
        )
    except MissingExtraError as error:
        return Explored([], [], f"The map needs a library: {error}.")
    except InputError:  # no frame of more than one atom
        return Explored([], [], "There is nothing to put on a map yet.")
    drawn = picture(chart, "iteration")
    words = [drawn.caption, *(meaning for _, meaning in reading(chart))]
    if not has_tsne:
        words.append("With pip install 'trainspot[map]' it would be a t-SNE.")
    words += [note.replace(" (--max-frames)", "") for note in chart.notes]
    shown = Picture(drawn.source, " ".join(words), drawn.alt)
    return Explored([shown], [counts(chart, "iteration")], "")
