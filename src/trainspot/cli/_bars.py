"""What ``trainspot evaluate`` prints about the sigmas of an exported committee.

A sigma is the calibrated error bar of a prediction: about 68 % of the errors are smaller. The
threshold ratio of a frame is the largest disagreement over its threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trainspot.common import text
from trainspot.common.properties import PROPERTIES, UNITS
from trainspot.models.committee import CommitteePotential, usable_domain
from trainspot.models.exported import CalibrationFile
from trainspot.predictions import files
from trainspot.predictions.calibration import Calibration, trusted
from trainspot.predictions.domain import Domain
from trainspot.predictions.error_bars import NOVELTY, RATIO, Trust

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
class _Sigmas:
    """The sigmas of one property.

    Attributes:
        median: Over the frames.
        largest: Over the frames.
        beyond: Number of frames that exceed the threshold.
    """

    median: float
    largest: float
    beyond: int


@dataclass(frozen=True)
class Calibrated:
    """The calibration of an exported folder, applied to predictions.

    Attributes:
        calibrations: Of each property, as in ``calibration.json``.
        domain: The training frames, for novelty; ``None``: not known.
        no_novelty: Why novelty cannot be computed although the folder has its data, or "".
    """

    calibrations: dict[str, Calibration]
    domain: Domain | None = None
    no_novelty: str = ""

    @classmethod
    def of(cls, models: Sequence[Path]) -> Calibrated | None:
        """The calibration of these models, if they are one exported folder.

        Raises:
            DataError: The folder is damaged.
        """
        if len(models) != 1 or not is_export(models[0]):
            return None
        return cls(CalibrationFile.of_export(models[0]).calibrations, *usable_domain(models[0]))

    @property
    def trust(self) -> dict[str, Trust]:
        """Of the properties that were fitted."""
        return trusted(self.calibrations)

    @property
    def missing(self) -> str:
        """Properties without a calibration and why, or nothing."""
        return ", ".join(
            f"{name} ({self._reason(name)})" for name in PROPERTIES if name not in self.trust
        )

    def _reason(self, name: str) -> str:
        fit = self.calibrations.get(name)
        return f"{fit.verdict}, {text.counted(fit.pairs, 'pair')}" if fit else "no tolerance"

    def lines(self, output: Path) -> Iterator[str]:
        """Lines for the terminal: sigmas, properties without them, and the doubtful frames.

        Args:
            output: The file of predictions.
        """
        bars = files.error_bars(output)
        summary = self._summary(bars)
        for name, sigmas in summary.items():
            epsilon = self.calibrations[name].tolerance
            tolerance = f", tolerance {epsilon:.4g}" if math.isfinite(epsilon) else ""
            yield (
                f"{name}: sigma (calibrated error bar) {sigmas.median:.3g} (median), "
                f"{sigmas.largest:.3g} (largest) {UNITS[name]}{tolerance}{self._wide(name)}"
            )
        if self.missing:
            yield f"no sigma, because not calibrated: {self.missing}"
        if self.trust and bars.keys().isdisjoint(PROPERTIES):
            yield "no sigma, because the committee has one member"
        if RATIO in bars:
            causes = {name: sigmas.beyond for name, sigmas in summary.items()}
            if NOVELTY in bars:
                causes[NOVELTY] = int((bars[NOVELTY] > 1.0).sum())
            yield from _doubts(bars[RATIO], causes)
            if outside := causes.get(NOVELTY):
                yield (
                    f"{text.counted(outside, 'frame')} outside of what the committee was trained "
                    "on (novelty above 1): no sigma"
                )

    def _wide(self, name: str) -> str:
        """The 90 % bar and the frames behind the bars; nothing in exports of earlier versions."""
        fit = self.calibrations[name]
        if fit.sigma is None or fit.bar_90 is None:
            return ""
        frames = text.counted(fit.bars_frames, f"{fit.bars_from} frame")
        return f"; 90 % bar: {fit.bar_90 / fit.sigma:.3g} sigma; from {frames}"

    def content(self, output: Path) -> dict[str, Any]:
        """JSON for programs: ``calibrated`` by property, and ``doubtful``, the worst frame first.

        ``excess`` is the former name of ``threshold_ratio``; programs may still read it.

        Args:
            output: The file of predictions.
        """
        bars = files.error_bars(output)
        calibrated: dict[str, Any] = {
            name: {
                "fitted": fit.fitted,
                "verdict": fit.verdict,
                "pairs": fit.pairs,
                "tolerance": _json(fit.tolerance),
                "bars_from": fit.bars_from,
                "bars_frames": fit.bars_frames,
            }
            for name, fit in self.calibrations.items()
        }
        for name, sigmas in self._summary(bars).items():
            calibrated[name] |= {key: _json(value) for key, value in asdict(sigmas).items()}
        ratios = bars.get(RATIO, np.zeros(0))
        ids = files.frame_ids(output)
        doubtful = [
            {"frame": row, "id": ids[row]}
            | dict.fromkeys((RATIO, "excess"), _json(ratios[row]))
            | ({NOVELTY: _json(bars[NOVELTY][row])} if NOVELTY in bars else {})
            for row in _beyond(ratios)
        ]
        return {"calibrated": calibrated, "doubtful": doubtful}

    def _summary(self, bars: dict[str, NDArray[np.float64]]) -> dict[str, _Sigmas]:
        """The sigmas of each property that has any."""
        summary: dict[str, _Sigmas] = {}
        for name in (name for name in PROPERTIES if name in bars):
            values = bars[name][~np.isnan(bars[name])]
            if values.size:
                limit = self.trust[name].scale * self.trust[name].threshold
                summary[name] = _Sigmas(
                    float(np.median(values)), float(values.max()), int((values > limit).sum())
                )
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
    return value if math.isfinite(value) else None
