"""Draws the learning curves of the study of labels, from the tracks beside this file.

::
    python docs/studies/labels.py

The tracks come from ``benchmarks/labels.py --tracks docs/studies/labels-tracks.json``, and those of
the second part from the same with other seeds and arms.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.ticker import MaxNLocator

from trainspot.rehearse.trial import Track
from trainspot.report.pages.panels import plain_log
from trainspot.report.pages.style import new, styled

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from _curves import Curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HERE: Final = Path(__file__).parent
IMAGES: Final = HERE.parent / "images"
Arms = Mapping[str, tuple[str, str, str]]
ARMS: Final[Arms] = {
    "campaign": ("defaults, batches of ten", "#0072B2", "-"),
    "paper": ("paper, batches of ten", "#D55E00", "-"),
    "random": ("random choice, batches of ten", "#1A1A1A", "-"),
    "frugal": ("frugal, batches of ten", "#009E73", "-"),
    "campaign, all flagged": ("the rules of the defaults, all flagged", "#0072B2", ":"),
    "paper, all flagged": ("paper, all flagged", "#D55E00", ":"),
}
"""Name, colour and line of each arm that is drawn."""

THIRD: Final[Arms] = {
    "campaign, a third": ("defaults, a third", "#0072B2", "-"),
    "random, a third": ("random choice, a third", "#1A1A1A", "-"),
    "campaign, all flagged": ("the rules of the defaults, all flagged", "#0072B2", ":"),
    "paper, all flagged": ("paper, all flagged", "#D55E00", ":"),
}
"""The same for the second part."""

Found = Mapping[str, Mapping[str, Sequence[Track]]]


def read(file: Path) -> Found:
    """The tracks by system and arm."""
    found: dict[str, dict[str, list[Track]]] = defaultdict(lambda: defaultdict(list))
    for content in json.loads(file.read_text(encoding="utf-8")):
        track = Track.from_dict(content)
        found[content["system"]][track.arm].append(track)
    return found


@styled
def figure(found: Found, arms: Arms) -> Figure:
    """Mean over seeds of ln(error) against labels; without bands, for arms are paired."""
    systems = [name for name in found if name != "cells"]
    drawn = new(3.6)
    panels = drawn.subplots(1, len(systems))
    for axes, name in zip(panels, systems, strict=True):
        for arm, look in arms.items():
            _curve(axes, found[name][arm], *look)
        axes.set(xlabel="Labels", yscale="log", title=name)
        plain_log(axes.yaxis, (1.0, 1.5, 2.0, 3.0, 5.0, 7.0))
        axes.xaxis.set_major_locator(MaxNLocator(5))
    panels[0].set_ylabel("Force RMSE on the common test (meV/Å)")
    drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
    return drawn


def _curve(axes: Axes, tracks: Sequence[Track], name: str, colour: str, line: str) -> None:
    curves = Curves.of([(t.column("labels"), 1000.0 * t.column("forces")) for t in tracks])
    # Beyond what half of the seeds have spent, a mean curve is made of those that stopped.
    shown = curves.axis <= np.median([t.column("labels")[-1] for t in tracks])
    middle = np.exp(curves.mean(np.arange(len(tracks))))
    axes.plot(curves.axis[shown], middle[shown], color=colour, ls=line, lw=2.0, label=name)


if __name__ == "__main__":
    for name, drawn, arms in (
        ("labels-tracks.json", "labels-curves.png", ARMS),
        ("labels-third-tracks.json", "labels-third.png", THIRD),
    ):
        figure(read(HERE / name), arms).savefig(IMAGES / drawn, dpi=130)
