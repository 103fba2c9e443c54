"""The judgement and the figures of the calibration study, from pairs alone."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from trainspot.common.seeds import generator
from trainspot.judge.calibrate import calibrate
from trainspot.judge.pairs import Pairs
from trainspot.judge.settings import CalibrateSettings, Tolerance
from trainspot.report.pages.panels import plain_log, shared_legend, subtitle
from trainspot.report.pages.style import GREY, MISSED, new, save_png, styled

METHODS: Final = ("quantile", "regression", "scale", "conformal", "none")
"""Methods of calibration; ``none`` takes the tolerance itself as the threshold."""
TOLERANCES: Final = (0.1, 0.15, 0.2, 0.3)
"""eV/Å, fixed before anything was computed; 0.1 is the default of a campaign."""
SHOWN: Final = 0.15
"""The tolerance of the figures, eV/Å."""
AUDITS: Final = (0, 12)
"""Audit frames that join the validation frames in the calibration."""
DRAWS: Final = 200
"""Random audits over which rates are averaged."""

COLOURS: Final = {"Elastic": "#0072B2", "AIMD-NVT": "#E69F00", "Vacancy": "#009E73",
                  "Surface": "#D55E00"}  # fmt: skip
WORDS: Final = {"Elastic": "strained", "AIMD-NVT": "bulk MD", "Vacancy": "vacancy MD",
                "Surface": "surface"}  # fmt: skip


class Study:
    """One hold-out as columns: what the committee said of frames it was not trained on."""

    def __init__(self, columns: dict[str, Any]) -> None:
        """Columns of ``calibration.pairs``."""
        self.motif = np.array(columns["motif"])
        self.pool = np.array(columns["split"]) == "test"
        self.delta, self.error = (np.array(columns[key]) for key in ("delta", "error"))
        self.energy = np.array(columns["delta_energy"]), np.array(columns["error_energy"])
        self.distance = np.array(columns["distance"])
        self.limit = float(columns["novel_beyond"] or np.inf)

    @property
    def novel(self) -> NDArray[np.bool_]:
        """Frames farther from the training frames than the threshold of novelty."""
        return self.distance > self.limit

    def fit(self, rows: NDArray[np.bool_], method: str, tolerance: float) -> tuple[float, bool]:
        """Threshold τ (eV/Å) from the pairs of some frames, and whether it could be fitted."""
        if method == "none":
            return tolerance, True
        empty = np.full(int(rows.sum()), np.nan)
        columns = [{"energy": empty, "forces": values[rows], "stress": empty}
                   for values in (self.delta, self.error)]  # fmt: skip
        ids = tuple(str(row) for row in np.flatnonzero(rows))
        found = Pairs(ids, *columns, np.ones(len(ids), dtype=np.bool_))
        wanted = Tolerance(energy=None, forces=tolerance, stress=None)
        made = calibrate(found, wanted, CalibrateSettings(method=method), 0)["forces"]
        return made.threshold, made.fitted


def counts(flagged: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Hits, flagged, wrong, frames."""
    return np.array([(flagged & wrong).sum(), flagged.sum(), wrong.sum(), len(wrong)], dtype=float)


def rates(hits: float, flagged: float, wrong: float, frames: float) -> dict[str, float | None]:
    """TPR, PPV, F1 and the share of all frames that is missed, of summed counts."""
    return {
        "tpr": hits / wrong if wrong else None,
        "ppv": hits / flagged if flagged else None,
        "f1": 2 * hits / (flagged + wrong) if flagged + wrong else None,
        "missed": (wrong - hits) / frames if frames else None,
        "flagged": flagged / frames if frames else None,
        "wrong": wrong / frames if frames else None,
    }


def judged(study: Study, name: str, method: str, tolerance: float, audit: int, seed: int) -> Any:
    """Rates of one threshold on the pool, averaged over audits drawn from it.

    The audit frames calibrate and are left out of the score.
    """
    ways = ("alone", "with novelty")
    total = {way: np.zeros(4) for way in ways}
    of_motif = {way: {one: np.zeros(4) for one in COLOURS} for way in ways}
    thresholds, fitted = [], 0
    pool = np.flatnonzero(study.pool)
    for draw in range(DRAWS if audit else 1):
        rng = generator(seed, "audit", name, draw)
        drawn = rng.choice(pool, size=audit, replace=False)
        rows = ~study.pool
        rows[drawn] = True
        threshold, good = study.fit(rows, method, tolerance)
        thresholds.append(threshold)
        fitted += good
        rest = ~rows
        wrong, flagged = (study.error > tolerance)[rest], (study.delta > threshold)[rest]
        for way, flags in zip(ways, (flagged, flagged | study.novel[rest]), strict=True):
            total[way] += counts(flags, wrong)
            for one in COLOURS:
                mine = study.motif[rest] == one
                of_motif[way][one] += counts(flags[mine], wrong[mine])
    return {
        "threshold": float(np.median(thresholds)),
        "fitted": fitted / len(thresholds),
        **{way: rates(*values) for way, values in total.items()},
        "tpr_of_motif": {
            way: {one: rates(*sums)["tpr"] for one, sums in found.items()}
            for way, found in of_motif.items()
        },
    }


def results(studied: dict[str, Any], seed: int) -> dict[str, Any]:
    """Everything the page states."""
    found: dict[str, Any] = {}
    for name, columns in studied.items():
        study = Study(columns)
        pool = study.pool
        rows = {}
        for method, tolerance, audit in product(METHODS, TOLERANCES, AUDITS):
            key = f"{method}, {tolerance:g} eV/Å, audit {audit}"
            rows[key] = judged(study, name, method, tolerance, audit, seed)
        found[name] = {
            "pool": {motif: int((study.motif[pool] == motif).sum()) for motif in COLOURS},
            "spearman": {
                "forces": float(spearmanr(study.delta[pool], study.error[pool]).statistic),
                "energy": float(spearmanr(*(c[pool] for c in study.energy)).statistic),
                "distance": float(spearmanr(study.distance[pool], study.error[pool]).statistic),
            },
            "ratio": {  # median of e/Δ: how under-dispersed the committee is
                motif: _ratio(study, motif) for motif in COLOURS
            },
            "novel": {
                motif: float(study.novel[mine].mean())
                for motif in COLOURS
                if (mine := pool & (study.motif == motif)).any()
            },
            "member_rmse": columns["member_rmse"],
            "judged": rows,
        }
    return found


def _ratio(study: Study, motif: str) -> float | None:
    rows = study.pool & (study.motif == motif) & (study.delta > 1e-4)
    if not rows.any():
        return None
    return float(np.median(study.error[rows] / study.delta[rows]))


# ── figures ───────────────────────────────────────────────────────────────────
def draw(studied: dict[str, Any], found: dict[str, Any], folder: Path) -> None:
    """Write the figures of the page."""
    for name, figure in {
        "calibration-pairs": scatter(studied, found),
        "calibration-rates": dots(found),
    }.items():
        save_png(figure, folder / f"{name}.png", dpi=110)


def _key(method: str) -> str:
    return f"{method}, {SHOWN:g} eV/Å, audit {AUDITS[-1]}"


@styled
def scatter(studied: dict[str, Any], found: dict[str, Any]) -> Any:
    """Error against disagreement, and against descriptor distance; a row for each hold-out."""
    figure = new(0.8 + 2.9 * len(studied))
    grid = figure.subplots(len(studied), 2, sharey="row", squeeze=False)
    for (name, columns), (left, right) in zip(studied.items(), grid, strict=True):
        study = Study(columns)
        threshold = found[name]["judged"][_key("quantile")]["threshold"]
        for axes, x in ((left, study.delta), (right, study.distance)):
            for motif, colour in COLOURS.items():
                rows = study.pool & (study.motif == motif) & (study.delta > 1e-4)
                axes.scatter(x[rows], study.error[rows], s=14, color=colour, alpha=0.65, lw=0,
                             label=WORDS[motif])  # fmt: skip
            axes.axhline(SHOWN, color=GREY, ls=":", lw=1.2)
            axes.set(xscale="log", yscale="log")
            for axis in (axes.xaxis, axes.yaxis):
                plain_log(axis, (1.0, 2.0, 5.0))
        limits, errors = np.array(left.get_xlim()), left.get_ylim()
        left.plot(limits, SHOWN / threshold * limits, color="#1A1A1A", lw=1.3,
                  label="calibration (quantile)")  # fmt: skip
        left.set(xlim=limits, ylim=errors)
        left.axvline(threshold, color=MISSED, lw=1.2, label="threshold τ")
        right.axvline(study.limit, color="#CC79A7", lw=1.2, label="threshold of novelty")
        rho = found[name]["spearman"]
        subtitle(left, f"never saw: {name}", f"rank correlation {rho['forces']:.2f}")
        subtitle(right, "", f"rank correlation {rho['distance']:.2f}")
        left.set_ylabel("Force error e (eV/Å)")
    grid[-1, 0].set_xlabel("Disagreement Δ (eV/Å)")
    grid[-1, 1].set_xlabel("Distance to the nearest training frame")
    shared_legend(figure, grid.flat)
    return figure


@styled
def dots(found: dict[str, Any]) -> Any:
    """TPR and PPV of every method, by disagreement alone and with the novelty flag."""
    figure = new(1.5 + 1.15 * len(found))
    grid = figure.subplots(len(found), 2, sharex=True, sharey=True, squeeze=False)
    for name, row in zip(found, grid, strict=True):
        for axes, rate in zip(row, ("tpr", "ppv"), strict=True):
            for place, method in enumerate(METHODS):
                made = found[name]["judged"][_key(method)]
                ends = [made[how][rate] for how in ("alone", "with novelty")]
                if None not in ends:
                    axes.plot(ends, [place] * 2, color="#B8B8B8", lw=1.5, zorder=1)
                for value, how, marker, face in zip(
                    ends, ("disagreement alone", "with novelty"), "os", ("white", "#0072B2"),
                    strict=True,
                ):  # fmt: skip
                    if value is not None:
                        axes.scatter([value], [place], marker=marker, s=34, color=face,
                                     edgecolor="#0072B2", label=how, zorder=2)  # fmt: skip
            axes.set_title(f"{rate.upper()}, never saw: {name}")
            axes.set_yticks(range(len(METHODS)), METHODS)
            axes.set_ylim(len(METHODS) - 0.5, -0.5)
            axes.set_xlim(-0.03, 1.03)
    shared_legend(figure, grid.flat)
    return figure
