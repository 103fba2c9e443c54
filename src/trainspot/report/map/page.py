"""A map as a page or as a file for other programs, depending on the suffix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trainspot
from trainspot.common.atomic_write import replacing
from trainspot.common.errors import InputError
from trainspot.report.map.figures import frame_map
from trainspot.report.map.marks import marks
from trainspot.report.map.pictures import counts, picture, reading
from trainspot.report.pages.skeleton import Section, render, save
from trainspot.report.pages.style import save_png, svg

if TYPE_CHECKING:
    from pathlib import Path

    from trainspot.maps.chart import FrameMap

SUFFIXES: Final = (".html", ".png", ".svg", ".json", ".csv")


def check_output(path: Path) -> Path:
    """Check before any calculation that ``write`` accepts a path.

    Raises:
        InputError: Another suffix, or the folder does not exist.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"unknown suffix '{path.suffix}' of a map",
            where=str(path),
            hint=f"use {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}",
        )
    if not path.absolute().parent.is_dir():
        raise InputError("no such folder", where=str(path.parent), hint="make it first")
    return path


def write(chart: FrameMap, path: Path, colour: str, name: str) -> None:
    """Write a map, atomically; the suffix sets the format.

    Args:
        chart: The map.
        path: A path that ``check_output`` accepts.
        colour: The colour key.
        name: Name of the campaign or file, for the page.
    """
    if path.suffix == ".png":
        with replacing(path) as scratch:
            save_png(frame_map(marks(chart, colour)), scratch)
        return
    if path.suffix == ".svg":
        text = svg(frame_map(marks(chart, colour))).decode()
    elif path.suffix == ".html":
        text = html(chart, colour, name)
    else:
        text = chart.to_csv(colour) if path.suffix == ".csv" else chart.to_json(colour)
    save(text, path)


def html(chart: FrameMap, colour: str, name: str) -> str:
    """One self-contained page: figure, legend, counts, how to read it."""
    counted = counts(chart, colour)
    return render(
        "trainspot.report.map",
        "map.html.j2",
        name=name,
        facts=[
            ("Frames", str(len(chart))),
            ("Elements", ", ".join(chart.frames.species)),
            ("Map", chart.title),
            ("Seed", str(chart.seed)),
        ],
        notes=[str(note) for note in chart.notes],
        sections=[
            Section("map", "The map", "", "", [picture(chart, colour)], []),
            Section("counts", "Frames on the map", "", "", [], [counted]),
        ],
        reading=reading(chart),
        version=trainspot.__version__,
    )
