"""The maps in the report of a campaign: ``section``."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from trainspot.common.errors import InputError, MissingExtraError
from trainspot.maps.chart import Descriptor, FrameMap, make
from trainspot.maps.choice import Limits, NoFrameError, Note
from trainspot.report.map.pictures import KINDS, counts, picture, reading
from trainspot.report.pages.skeleton import Picture, Section

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainspot.report.findings.data import ReportData

IN_REPORT: Final = 1500
"""Frames on the map of a report: more take longer than reading it."""
KINETIC_LIMITS: Final = Limits(atoms=100, frames=200, total=2000)
"""Of the kinetic map of a report, whose descriptor takes 5 to 30 ms an atom."""

_KINETIC: Final = "A second map, by the kinetic SOREP descriptor of the paper,"
_OPTION: Final = (
    f"{_KINETIC} takes 10 s to a minute more: trainspot report with --kinetic-map draws it."
)
_MORE: Final = "trainspot map with --descriptor sorep draws more."


def section(
    data: ReportData,
    *,
    kinetic_map: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Section:
    """Maps of the explored frames; if a library is missing, the section names its package.

    Args:
        data: The campaign.
        kinetic_map: Whether to draw the map with the descriptor of the paper too.
        progress: Called with finished frames and all frames of the kinetic map.
    """
    maps = Section(
        "explored",
        "What was explored?",
        "Each point is a frame; similar frames are close to each other. Iteration 0 is the "
        "initial set; later iterations add frames from exploration.",
        "",
    )
    try:
        chart = _chart(data, "structural", Limits(frames=IN_REPORT))
    except MissingExtraError as error:
        maps = replace(maps, missing=f"The map needs a library: {error}.")
    except InputError:  # no frame of more than one atom
        return replace(maps, missing="There is nothing to put on a map yet.")
    else:
        drawn = picture(chart, "iteration")
        drawn = replace(drawn, caption=" ".join([drawn.caption, *_words(chart)]))
        maps = replace(maps, pictures=[drawn], tables=[counts(chart, "iteration")])
    if not kinetic_map:
        return replace(maps, remarks=[_OPTION])
    return _with_kinetic(maps, data, progress)


def _with_kinetic(
    section: Section, data: ReportData, progress: Callable[[int, int], None] | None
) -> Section:
    """The section with the second map, or with the reason why the map is missing."""
    try:
        chart = _chart(data, "sorep", KINETIC_LIMITS, progress)
    except MissingExtraError as error:
        return replace(section, remarks=[f"{_KINETIC} needs a library: {error}."])
    except NoFrameError as error:
        more = [_MORE] if any(note.option for note in error.notes) else []
        reasons = " ".join(
            [f"{_KINETIC} is not drawn: {error.what}.", *_sentences(error.notes), *more]
        )
        return replace(section, remarks=[reasons])
    return replace(
        section,
        pictures=[*section.pictures, _kinetic(chart, again=bool(section.pictures))],
        tables=[replace(table, caption="Frames on the first map.") for table in section.tables],
        missing="",
        remarks=[section.missing] if section.missing else [],
    )


def _kinetic(chart: FrameMap, *, again: bool) -> Picture:
    """The map with the descriptor of the paper, with the number of frames of each kind.

    Args:
        chart: The map.
        again: Whether the page has explained a map before.
    """
    listed = ", ".join(
        f"{chart.status.count(kind)} {kind}" for kind in KINDS if kind in chart.status
    )
    drawn = picture(chart, "iteration")
    caption = drawn.caption
    if again:
        caption = (
            f"The same by the descriptor of the paper: {len(chart)} frames, coloured by "
            f"iteration: {chart.title}."
        )
    words = [caption, *_words(chart, again=again)]
    if any(note.drawn or note.option for note in chart.notes):
        words.append(_MORE)
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
    """Text below a map: how to read the map, and which frames are missing."""
    words = [meaning for key, meaning in reading(chart) if key != "Axes" or not again]
    if not _has_tsne() and not again:
        words.append("pip install 'trainspot[map]' brings t-SNE, which tells groups apart better.")
    return words + _sentences(chart.notes)


def _sentences(notes: Sequence[Note]) -> list[str]:
    return [f"{note.text}." for note in notes]  # a report has no options
