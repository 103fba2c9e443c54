"""What ``trainspot evaluate`` prints about the sigmas of an exported committee.

A sigma is the calibrated error bar of a prediction: about 68 % of the errors are smaller. The
threshold ratio of a frame is the largest disagreement over its threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainspot.common import text
from trainspot.common.properties import PROPERTIES, UNITS
from trainspot.models.committee import CommitteePotential
from trainspot.models.exported import CalibrationFile
from trainspot.predictions import files
from trainspot.predictions.error_bars import RATIO, Trust

SHOWN: Final = 10
"""Doubtful frames that are named on the screen."""

ALONE: Final = (
    "no calibrated error bars: a calibration is valid for its own committee only; to get them, "
    "give one folder of `trainspot export` and no other model"
)


def is_export(path: Path) -> bool:
    """Whether this is a folder of ``trainspot export``."""
    return CommitteePotential.recognises(path)


@dataclass(frozen=True)
class Calibrated:
    """The calibration of an exported folder, applied to predictions.

    Attributes:
        properties: As in ``calibration.json``.
        trust: Of the properties that were fitted.
    """

    properties: dict[str, dict[str, Any]]
    trust: dict[str, Trust]

    @classmethod
    def of(cls, models: Sequence[Path]) -> Calibrated | None:
        """The calibration of these models, if they are one exported folder.

        Raises:
            DataError: The folder is damaged.
        """
        if len(models) != 1 or not is_export(models[0]):
            return None
        calibration = CalibrationFile.of_export(models[0])
        return cls(calibration.properties, calibration.trust())

    @property
    def missing(self) -> str:
        """Properties without a calibration and why, or nothing."""
        return ", ".join(
            f"{name} ({self._reason(name)})" for name in PROPERTIES if name not in self.trust
        )

    def _reason(self, name: str) -> str:
        figures = self.properties.get(name)
        if figures is None:
            return "no tolerance"
        pairs = f", {text.counted(figures['pairs'], 'pair')}" if "pairs" in figures else ""
        return f"{figures.get('verdict', 'not fitted')}{pairs}"

    def lines(self, output: Path) -> Iterator[str]:
        """Lines for the terminal: sigmas, properties without them, and the doubtful frames.

        Args:
            output: The file of predictions.
        """
        bars = files.error_bars(output)
        summary = self._summary(bars)
        for name, figures in summary.items():
            middle, largest, unit = figures["median"], figures["largest"], UNITS[name]
            tolerance = f", tolerance {figures['tolerance']:.4g}" if figures["tolerance"] else ""
            yield (
                f"{name}: sigma (calibrated error bar) {middle:.3g} (median), "
                f"{largest:.3g} (largest) {unit}{tolerance}"
            )
        if self.missing:
            yield f"no sigma, because not calibrated: {self.missing}"
        if self.trust and not bars:
            yield "no sigma, because the committee has one member"
        if RATIO in bars:
            yield from _doubts(
                bars[RATIO], {n: figures["beyond"] for n, figures in summary.items()}
            )

    def content(self, output: Path) -> dict[str, Any]:
        """JSON for programs: ``calibrated`` by property, and ``doubtful``, the worst frame first.

        ``excess`` is the former name of ``threshold_ratio``; programs may still read it.

        Args:
            output: The file of predictions.
        """
        bars = files.error_bars(output)
        calibrated: dict[str, Any] = {
            name: {key: figures.get(key) for key in ("fitted", "verdict", "pairs", "tolerance")}
            for name, figures in self.properties.items()
        }
        for name, figures in self._summary(bars).items():
            calibrated[name] |= {key: _json(value) for key, value in figures.items()}
        ratios = bars.get(RATIO, np.zeros(0))
        ids = files.frame_ids(output)
        doubtful = [
            {"frame": row, "id": ids[row]} | dict.fromkeys((RATIO, "excess"), _json(ratios[row]))
            for row in _beyond(ratios)
        ]
        return {"calibrated": calibrated, "doubtful": doubtful}

    def _summary(self, bars: dict[str, NDArray[np.float64]]) -> dict[str, dict[str, Any]]:
        """Median and largest sigma, and how many frames exceed the threshold, by property."""
        summary: dict[str, dict[str, Any]] = {}
        for name in (name for name in PROPERTIES if name in bars):
            values = bars[name][~np.isnan(bars[name])]
            if values.size:
                limit = self.trust[name].scale * self.trust[name].threshold
                summary[name] = {
                    "median": float(np.median(values)),
                    "largest": float(values.max()),
                    "beyond": int((values > limit).sum()),
                    "tolerance": self.properties[name].get("tolerance"),
                }
        return summary


def _beyond(ratios: NDArray[np.float64]) -> list[int]:
    """Rows of the frames beyond a threshold, the worst first."""
    order = np.argsort(-ratios, kind="stable")
    return [int(row) for row in order[ratios[order] > 1.0]]


def _doubts(ratios: NDArray[np.float64], beyond: dict[str, int]) -> Iterator[str]:
    rows, frames = _beyond(ratios), text.counted(len(ratios), "frame")
    if not rows:
        yield f"none of {frames} exceeds a threshold"
        return
    by = ", ".join(f"{name}: {number}" for name, number in beyond.items() if number)
    verb = "exceeds" if len(rows) == 1 else "exceed"
    yield f"{len(rows)} of {frames} {verb} a threshold" + (f" ({by})" if by else "")
    named = ", ".join(f"{row} ({ratios[row]:.3g})" for row in rows[:SHOWN])
    rest = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    yield f"worst frames, counted from 0, with their threshold ratio: {named}{rest}"


def _json(value: float) -> float | None:
    """JSON has no infinity."""
    return value if value is None or math.isfinite(value) else None
