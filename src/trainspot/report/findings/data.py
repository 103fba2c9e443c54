"""The data of a report: ``ReportData``, and a folder that stores these data.

The AiiDA package collects the data from a campaign. ``write`` and ``read`` store the data in plain
files, so that a user can make a report again, or another report, without AiiDA::

    status.json  dataset.h5  explored.h5
    iteration_1/{predictions.h5,pairs.json,calibration.json}  …
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import ValidationError

from trainspot.campaign.record import IterationRecord, records_of
from trainspot.common.errors import DataError
from trainspot.data import hdf5
from trainspot.data.frames import SPLITS, Split
from trainspot.judge.pairs import Pairs
from trainspot.judge.settings import CalibrateSettings
from trainspot.predictions.calibration import Calibration
from trainspot.predictions.predictions import Predictions
from trainspot.predictions.statistics import inside
from trainspot.report.findings.cloud import Cloud
from trainspot.report.quantities import BY_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trainspot.data.dataset import Dataset

_SLACK: Final = 1e-6
STATUS: Final = "status.json"
DATASET: Final = "dataset.h5"
EXPLORED: Final = "explored.h5"


@dataclass(frozen=True, slots=True)
class IterationData:
    """The arrays of one iteration; its numbers are in ``status["iterations"]``.

    Attributes:
        n: Iteration, from 1.
        predictions: Predictions of the committee for labelled frames of the final dataset (at
            least the test frames; in the last iteration all frames), or ``None``.
        pairs: Calibration pairs of disagreement and error, or ``None``.
        calibration: Calibration of each property; empty without a calibration.
    """

    n: int
    predictions: Predictions | None = None
    pairs: Pairs | None = None
    calibration: Mapping[str, Calibration] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReportData:
    """The data of a campaign, finished or not, for its report.

    Attributes:
        status: The campaign as in ``trainspot status --json``; optional keys ``tolerance``
            (property → eV, Å units), ``calibrate`` (that section of the campaign file) and
            ``notes`` (sentences for the reader).
        dataset: The final dataset.
        iterations: Iterations in order, without iterations that still run; may be empty.
        explored: Explored frames of all iterations, chosen or not, if they were stored.
    """

    status: Mapping[str, Any]
    dataset: Dataset
    iterations: list[IterationData] = field(default_factory=list)
    explored: Dataset | None = None

    @property
    def name(self) -> str:
        """The name of the campaign, or a placeholder."""
        return str(self.status.get("name") or "campaign")

    @property
    def records(self) -> list[IterationRecord]:
        """The figures of the iterations in the status, in order.

        Raises:
            DataError: The figures are damaged.
        """
        return records_of(self.status)

    @property
    def draws_from_pool(self) -> bool:
        """Whether the campaign drew its frames from a pool instead of molecular dynamics."""
        return any(record.pool for record in self.records)

    @property
    def tolerance(self) -> dict[str, float]:
        """The tolerance of each judged property, eV/atom, eV/Å, eV/Å³."""
        values = dict(self.status.get("tolerance") or {})
        for iteration in self.iterations:
            values |= {
                key: calibration.tolerance for key, calibration in iteration.calibration.items()
            }
        return {key: float(values[key]) for key in BY_KEY if values.get(key) is not None}

    @property
    def calibrate(self) -> CalibrateSettings:
        """The calibration settings of the campaign; the defaults if they were not stored.

        Raises:
            DataError: The stored settings are invalid.
        """
        try:
            return CalibrateSettings.model_validate(self.status.get("calibrate") or {})
        except ValidationError as error:
            raise DataError("these are no calibration settings", where="calibrate") from error

    @property
    def notes(self) -> list[str]:
        """Sentences of the campaign for every reader."""
        return [str(note) for note in self.status.get("notes") or []]

    @property
    def last_predictions(self) -> IterationData | None:
        """The latest iteration with predictions."""
        return next((it for it in reversed(self.iterations) if it.predictions is not None), None)

    def clouds(self, iteration: IterationData, key: str) -> dict[str, Cloud]:
        """Components of one property by split, isolated atoms left out.

        A committee reproduces an isolated atom by construction, and the energy of an atom is far
        from all other energies.
        """
        predictions = self._compared(iteration)
        if predictions is None:
            return {}
        predictions = predictions.take(predictions.n_atoms > 1)
        splits = self.dataset.select(predictions.ids).column("split")
        clouds = {}
        for number, name in enumerate(("none", *SPLITS)):
            cloud = self._cloud(predictions.take(splits == number), key)
            if cloud is not None:
                clouds[name] = cloud
        return clouds

    def strategies(self, iteration: IterationData, split: Split) -> dict[str, tuple[float, int]]:
        """Force RMSE (eV/Å) and number of frames by strategy in one split, worst first."""
        predictions = self._compared(iteration)
        if predictions is None:
            return {}
        frames = self.dataset.select(predictions.ids)
        here = frames.column("split") == 1 + SPLITS.index(split)
        by_strategy = {}
        for strategy in np.unique(frames.column("strategy")[here]):
            rows = here & (frames.column("strategy") == strategy)
            cloud = self._cloud(predictions.take(rows), "forces")
            if cloud is not None:
                by_strategy[strategy.decode()] = (cloud.rmse, cloud.frames)
        return dict(sorted(by_strategy.items(), key=lambda item: -item[1][0]))

    def _compared(self, iteration: IterationData) -> Predictions | None:
        """The finite predictions of frames that are in the dataset."""
        predictions = iteration.predictions
        if predictions is None:
            return None
        return predictions.take(
            predictions.is_finite & np.isin(predictions.frame_id, self.dataset.column("id"))
        )

    def _cloud(self, predictions: Predictions, key: str) -> Cloud | None:
        """Components of the labelled frames; ``None`` without labelled frames."""
        predictions = predictions.take(predictions.referenced(self.dataset)[key])
        if not len(predictions):
            return None
        frames = self.dataset.select(predictions.ids)
        if key == "energy":
            sizes = predictions.n_atoms
            reference = frames.column("energy") / sizes
            predicted = predictions.energy.mean(axis=0) / sizes
        elif key == "forces":
            reference = frames.column("forces").ravel()
            predicted = predictions.forces.mean(axis=0).ravel()
        else:
            axes = np.diagonal(predictions.projector, axis1=1, axis2=2) > _SLACK
            shown = axes[:, :, None] & axes[:, None, :]
            reference = inside(frames.column("stress"), predictions.projector)[shown]
            predicted = inside(predictions.stress.mean(axis=0), predictions.projector)[shown]
        rmse = predictions.rmse(self.dataset)[key]
        return Cloud(reference, predicted, len(predictions), rmse)

    def write(self, folder: Path | str) -> None:
        """Write all data into a folder, which is created if missing."""
        root = Path(folder)
        root.mkdir(parents=True, exist_ok=True)
        kept = {"iterations": [record.stored() for record in self.records]}
        dump(root / STATUS, {**self.status, **kept})
        hdf5.write(self.dataset, root / DATASET)
        if self.explored is not None:
            hdf5.write(self.explored, root / EXPLORED)
        for iteration in self.iterations:
            place = root / f"iteration_{iteration.n}"
            place.mkdir(exist_ok=True)
            if iteration.predictions is not None:
                iteration.predictions.write(place / "predictions.h5")
            if iteration.pairs is not None:
                dump(place / "pairs.json", iteration.pairs.to_dict())
            content = {
                key: calibration.to_dict() for key, calibration in iteration.calibration.items()
            }
            dump(place / "calibration.json", content)

    @classmethod
    def read(cls, folder: Path | str) -> ReportData:
        """Read the folder that ``write`` wrote.

        Raises:
            DataError: A file is missing, damaged or from another program.
        """
        root = Path(folder)
        status = load(root / STATUS)
        places = {int(p.name.removeprefix("iteration_")): p for p in root.glob("iteration_[0-9]*")}
        iterations = [_read_iteration(n, places[n]) for n in sorted(places)]
        explored = hdf5.read(root / EXPLORED) if (root / EXPLORED).exists() else None
        return cls(status, hdf5.read(root / DATASET), iterations, explored)


def _read_iteration(n: int, place: Path) -> IterationData:
    predictions, pairs = place / "predictions.h5", place / "pairs.json"
    content = load(place / "calibration.json")
    return IterationData(
        n,
        Predictions.read(predictions) if predictions.exists() else None,
        Pairs.from_dict(load(pairs)) if pairs.exists() else None,
        {key: Calibration.from_dict(values) for key, values in content.items()},
    )


def dump(path: Path, content: dict[str, Any]) -> None:
    """Write readable JSON; equal contents give equal files."""
    path.write_text(json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def load(path: Path) -> dict[str, Any]:
    """Read a JSON object; ``DataError`` if it is missing, damaged or something else."""
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise DataError("no such file", where=str(path)) from None
    except ValueError as error:
        raise DataError("not JSON, or damaged", where=str(path)) from error
    if not isinstance(content, dict):
        raise DataError("not a JSON object", where=str(path))
    return content
