"""A dataset as one self-contained HTML page, with pictures of some of its frames: ``html``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trainspot
from trainspot.common.text import counted
from trainspot.report.dataset import figures, tables
from trainspot.report.dataset.bars import bars, by_pair
from trainspot.report.pages import drawing
from trainspot.report.pages.bars import by_strategy
from trainspot.report.pages.skeleton import Picture, Section, filled, render
from trainspot.report.pages.style import data_uri, png_uri
from trainspot.report.quantities import number

if TYPE_CHECKING:
    from trainspot.data.dataset import Dataset
    from trainspot.data.frames import Frame
    from trainspot.report.dataset.census import Census

_THUMB_INCHES = 1.5


def html(census: Census, dataset: Dataset) -> str:
    """The page as text: no scripts, no request to anywhere, the same for the same data.

    Args:
        census: The census of the dataset.
        dataset: The dataset, for pictures of some frames.
    """
    return render(
        "trainspot.report.dataset",
        "dataset.html.j2",
        name=census.source,
        facts=_facts(census),
        tiles=_tiles(census),
        notes=[
            *(_sentence(doubt.text) for doubt in census.doubts),
            *notes(census),
            *_augmentation_notes(census),
        ],
        sections=_sections(census, dataset),
        version=trainspot.__version__,
    )


def notes(census: Census) -> list[str]:
    """Remarks on the numbers, one sentence each."""
    lines = list(census.remarks)
    if census.sampled:
        lines.append(
            f"Distances were measured in {census.distances.frames} of {census.frames} frames, "
            f"drawn at random (seed {census.seed}). Other frames may have shorter distances."
        )
    if census.still:
        lines.append(
            f"The force is zero on {counted(census.still, 'atom')}; the statistics of forces leave "
            "zero forces out."
        )
    if contacts := tables.overlaps(census):
        lines.append(f"Atoms overlap: {'; '.join(contacts)}.")
    if len(census.theories) > 1:
        lines.append(
            f"The labels have {len(census.theories)} levels of theory. A potential must be trained "
            "on one level of theory."
        )
    if census.formulae.others:
        lines.append(
            f"Only the first {len(census.formulae)} different formulae were counted one by one."
        )
    return lines


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + "." * (not text.endswith(("?", ".")))


def _augmentation_notes(census: Census) -> list[str]:
    """The notes of the augmentation."""
    return [f"Augmentation: {note}" for note in (census.record.notes if census.record else [])]


def _facts(census: Census) -> list[tuple[str, str]]:
    splits = tables.strategies(census)
    record = census.record
    facts = [
        ("Elements", ", ".join(census.elements)),
        ("Levels of theory", ", ".join(filter(None, census.theories.counts()))),
        ("Splits", ", ".join(splits.header[1:-1])),
        ("Augmented with", f"seed {record.seed}, vacuum {record.vacuum:g} Å" if record else ""),
    ]
    return [(key, value) for key, value in facts if value]


def _tiles(census: Census) -> list[tuple[str, str]]:
    tiles = [
        ("frames", str(census.frames)),
        ("atoms", str(census.atoms)),
        ("with forces", str(census.labels["forces"])),
        ("with a stress", str(census.labels["stress"])),
    ]
    histograms = census.distances.histograms().values()
    if histograms:
        shortest = min(histogram.least for histogram in histograms)
        tiles.append(("Å, shortest distance", number(shortest)))
    return tiles


def _sections(census: Census, dataset: Dataset) -> list[Section]:
    labelled = any(census.labels.values())
    return [
        Section(
            "looks",
            "What do the frames look like?",
            "Some frames of each strategy, drawn at random. Lines are the edges of the cell along "
            "its periodic directions. Atoms that are farther away are paler. Every picture has its "
            "own scale.",
            "There is nothing to draw.",
            gallery=thumbnails(census, dataset),
        ),
        Section(
            "composition",
            "What is it made of?",
            "",
            "",
            tables=filled(
                tables.elements(census), tables.formulae(census), tables.dimensions(census)
            ),
        ),
        Section(
            "strategies",
            "Where do the frames come from?",
            "Every frame keeps the name of the strategy that made it. Its split is decided once "
            "and never changes.",
            "",
            [
                Picture(
                    data_uri(by_strategy(census.strategies, "Frames")),
                    "Frames by strategy and split.",
                    "Stacked bars of the numbers in the table of strategies below.",
                )
            ],
            filled(tables.strategies(census), tables.refusals(census)),
        ),
        Section(
            "sizes",
            "How large and how dense are they?",
            "Volume and density are given for frames that are periodic in three directions. The "
            "volume of any other cell depends on its vacuum.",
            "",
            [_sizes(census)],
            filled(tables.measures(census)),
        ),
        Section(
            "distances",
            "How close do atoms come?",
            "For each pair of elements: the distance from every atom of one element to the nearest "
            "atom of the other. A potential that is trained on these frames has learned nothing "
            "about shorter distances.",
            "No two atoms are close enough to be neighbours.",
            [_distances(census)] if census.distances.histograms() else [],
            filled(tables.distances(census)),
        ),
        Section(
            "labels",
            "What is labelled?",
            "",
            "Nothing is labelled.",
            [_labels(census)] if labelled else [],
            filled(tables.labels(census), tables.theories(census), tables.atom_energies(census))
            if labelled
            else [],
        ),
    ]


def thumbnails(census: Census, dataset: Dataset) -> list[Picture]:
    """Some frames of each strategy."""
    pictures = []
    for strategy, rows in census.examples.items():
        for row in rows:
            frame: Frame = dataset[row]
            formula = frame.to_atoms().get_chemical_formula()
            caption = f"{strategy or 'not named'} · {formula} · {frame.id[:8]}"
            alt = (
                f"Drawing of frame {frame.id[:8]}: {formula}, made by {strategy or 'nobody named'}."
            )
            pictures.append(Picture(png_uri(drawing.picture(frame, _THUMB_INCHES)), caption, alt))
    return pictures


def _sizes(census: Census) -> Picture:
    alt = "Histograms of atoms in a frame, volume per atom and density, as in the table below."
    sizes = bars(census.sizes, whole=True)
    drawn = figures.sizes(sizes, bars(census.volume), bars(census.density))
    return Picture(data_uri(drawn), "Sizes, volumes per atom and densities of frames.", alt)


def _distances(census: Census) -> Picture:
    pairs = by_pair(census)
    left_out = len(census.distances.histograms()) - len(pairs)
    caption = "Distance to the nearest neighbour, by pair of elements."
    if left_out:
        caption += f" The {left_out} rarest pairs are only in the table."
    if census.sampled:
        caption += f" Measured in {census.distances.frames} frames, drawn at random."
    return Picture(
        data_uri(figures.distances(pairs)),
        caption,
        "Histograms of the distances that the table below sums up.",
    )


def _labels(census: Census) -> Picture:
    energies, relative = census.energies
    drawn = figures.labels(bars(energies), bars(census.forces, logarithmic=True), relative=relative)
    return Picture(
        data_uri(drawn),
        "Energies per atom, without isolated atoms, and lengths of the forces on atoms.",
        "Histograms of energies per atom and of forces, as in the table of sizes above.",
    )
