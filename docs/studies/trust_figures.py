"""The figures of the study of trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from trainspot.report.pages.panels import plain_log, shared_legend, subtitle
from trainspot.report.pages.style import GREY, MISSED, new, save_png, styled

if TYPE_CHECKING:
    from pathlib import Path

    from trust_judging import Case

SYSTEMS: Final = {"silicon": "#0072B2", "aluminium": "#E69F00", "molybdenum": "#009E73",
                  "titania": "#CC79A7", "molecules": "#56B4E9"}  # fmt: skip
SHOWN: Final = {
    "paper": "paper",
    "today": "today",
    "today + 12": "today + 12",
    "conservative": "conservative",
    "+ local novelty": "+ local novelty",
    "+ bagging": "+ bagging",
    "bagged, quantile 0.8": "candidate",
}
RATES: Final = {
    "severe_found": ("severe frames found", 0.98),
    "wrong_unflagged": ("wrong among the unflagged", 0.05),
    "false_alarms": ("false alarms among the flagged", 0.08),
    "f1": ("F1", None),
}
BARS: Final = {
    "validation": "validation frames",
    "validation and audit 12": "validation + 12 audit",
    "validation and audit 25": "validation + 25 audit",
    "audit 12": "12 audit frames",
    "audit 25": "25 audit frames",
}
PROPERTIES: Final = {"forces": "forces of a frame", "atom": "force on an atom",
                     "energy": "energy per atom", "stress": "stress"}  # fmt: skip


def draw(cases: list[Case], found: dict[str, Any], folder: Path) -> None:
    """Write the figures of the page."""
    for name, figure in {
        "trust-pairs": scatter(cases),
        "trust-rules": rules(found),
        "trust-bars": bars(found),
    }.items():
        save_png(figure, folder / f"{name}.png", dpi=110)


@styled
def scatter(cases: list[Case]) -> Any:
    """Error against disagreement of the plain and the bagged committee; a row for each system.

    Shown is the first seed of the first hold-out of each system.
    """
    systems = [name for name in SYSTEMS if any(case.system == name for case in cases)]
    figure = new(0.8 + 2.5 * len(systems))
    grid = figure.subplots(len(systems), 2, sharex="row", sharey="row", squeeze=False)
    for system, row in zip(systems, grid, strict=True):
        mine = [case for case in cases if case.system == system]
        first = min(mine, key=lambda case: (case.hold_out != "far", case.hold_out, case.seed))
        for axes, is_bagged in zip(row, (False, True), strict=True):
            case = next(c for c in mine if (c.hold_out, c.seed, c.bagged)
                        == (first.hold_out, first.seed, is_bagged))  # fmt: skip
            for rows, colour, word in (
                (case.pool & ~case.unseen, "#0072B2", "motif seen in training"),
                (case.pool & case.unseen, MISSED, "unseen motif"),
            ):
                shown = rows & (case.delta > 1e-4)  # others have no forces by symmetry
                axes.scatter(case.delta[shown], case.error[shown], s=14, color=colour, alpha=0.65,
                             lw=0, label=word)  # fmt: skip
            axes.axhline(case.tolerances[1], color=GREY, ls=":", lw=1.2, label="tolerance ε")
            axes.set(xscale="log", yscale="log")
            for axis in (axes.xaxis, axes.yaxis):
                plain_log(axis, (1.0, 2.0, 5.0))
            words = "bagged" if is_bagged else "plain"
            subtitle(axes, f"{system}, {words}", f"trained without: {case.hold_out}")
        row[0].set_ylabel("Force error e (eV/Å)")
    for axes in grid[-1]:
        axes.set_xlabel("Disagreement Δ (eV/Å)")
    shared_legend(figure, grid.flat)
    return figure


@styled
def rules(found: dict[str, Any]) -> Any:
    """Four rates of each rule over all cases, with intervals, and of each system."""
    figure = new(6.4)
    grid = figure.subplots(2, 2, sharey=True)
    for axes, (key, (words, aim)) in zip(grid.flat, RATES.items(), strict=True):
        for place, name in enumerate(SHOWN):
            made = found["rules"][name]
            if made["intervals"][key]:
                axes.plot(made["intervals"][key], [place] * 2, color="#8A8A8A", lw=2.2, zorder=1)
            for offset, (system, rate) in enumerate(made["by_system"].items()):
                if rate[key] is not None:
                    axes.scatter([rate[key]], [place + 0.1 * (offset - 2)], s=13, zorder=2,
                                 color=SYSTEMS[system], label=system)  # fmt: skip
            if made[key] is not None:
                axes.scatter([made[key]], [place], marker="D", s=36, color="#1A1A1A", zorder=3,
                             label="all")  # fmt: skip
        if aim is not None:
            axes.axvline(aim, color=MISSED, ls="--", lw=1.2, label="aim")
        axes.set_title(words)
        axes.set_yticks(range(len(SHOWN)), list(SHOWN.values()))
        axes.set_ylim(len(SHOWN) - 0.5, -0.5)
    shared_legend(figure, grid.flat)
    return figure


@styled
def bars(found: dict[str, Any]) -> Any:
    """Coverage of 90 % bars by the frames behind them, on the pool and on unseen motifs."""
    figure = new(6.0)
    grid = figure.subplots(2, 2, sharex=True, sharey=True)
    for axes, (prop, words) in zip(grid.flat, PROPERTIES.items(), strict=True):
        for place, source in enumerate(BARS):
            for kind, shift, colour in (("plain", -0.14, "#6B6B6B"), ("bagged", 0.14, "#0072B2")):
                made = found["coverage"][kind].get(f"{prop}, {source}, 0.9")
                if made is None:
                    continue
                for key, ends, marker, face, label in (
                    ("pool", "interval", "o", colour, "pool"),
                    ("unseen", "unseen_interval", "s", "white", "unseen motifs"),
                ):
                    if made[ends] and key == "pool":
                        axes.plot(made[ends], [place + shift] * 2, color=colour, lw=1.3, zorder=1)
                    axes.scatter([made[key]], [place + shift], marker=marker, s=30, color=face,
                                 edgecolor=colour, label=f"{label}, {kind}", zorder=2)  # fmt: skip
        axes.axvline(0.9, color=MISSED, ls="--", lw=1.2)
        axes.axvspan(0.87, 0.93, color=MISSED, alpha=0.08, lw=0)
        axes.set_title(words)
        axes.set_yticks(range(len(BARS)), list(BARS.values()))
        axes.set_ylim(len(BARS) - 0.5, -0.5)
        axes.set_xlim(left=np.floor(10 * 0.35) / 10, right=1.01)
    for axes in grid[-1]:
        axes.set_xlabel("coverage of the 90 % bar")
    shared_legend(figure, grid.flat)
    return figure
