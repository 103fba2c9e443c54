"""The exported folder of a committee that a user made stage by stage, without a campaign."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainspot.campaign.errors import absolute, rmse
from trainspot.campaign.record import IterationRecord
from trainspot.common.errors import InputError, MissingExtraError
from trainspot.data.frames import SPLITS
from trainspot.evaluate.batch import digest, member_names
from trainspot.judge.novelty import Novelty
from trainspot.judge.settings import SelectSettings
from trainspot.judge.space import Space, domain_of
from trainspot.report.exported.export import export

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trainspot.data.dataset import Dataset
    from trainspot.predictions.calibration import Calibration
    from trainspot.predictions.domain import Domain
    from trainspot.predictions.predictions import Predictions


def export_by_hand(
    folder: Path | str,
    *,
    dataset: Dataset,
    models: Sequence[Path],
    predictions: Predictions,
    calibration: Mapping[str, Calibration],
    select: SelectSettings | None = None,
) -> Path:
    """Write the folder that ``trainspot export`` writes for a campaign; see ``export.export``.

    Args:
        folder: Path of the folder; the parent must exist.
        dataset: The labelled frames, with their splits.
        models: The members, one file each.
        predictions: Predictions of these members for frames of the dataset.
        calibration: Calibration of these predictions.
        select: How novelty is judged; by default as in a campaign.

    Returns:
        The folder.

    Raises:
        InputError: The predictions are of other models, a model is no file, or as ``export``.
    """
    if tuple(member_names(models)) != predictions.members:
        theirs = ", ".join(predictions.members)
        raise InputError(
            "the predictions are of other models",
            where=f"--models {' '.join(map(str, models))}",
            hint=f"give those that were evaluated: {theirs}",
        )
    if folders := [path for path in models if not path.is_file()]:
        raise InputError("not a model file", where=str(folders[0]))
    if predictions.digests and tuple(map(digest, models)) != predictions.digests:
        raise InputError(
            "these models have changed since they made the predictions",
            where=f"--models {' '.join(map(str, models))}",
            hint="evaluate them again",
        )
    names = [path.name for path in models]
    if len(set(names)) < len(names):
        names = [f"member_{k}{path.suffix}" for k, path in enumerate(models)]
    domain, no_novelty = _domain(dataset, select or SelectSettings())
    return export(
        folder,
        dataset=dataset,
        models=dict(zip(names, models, strict=True)),
        calibration=calibration,
        status=_status(Path(folder).name, dataset, predictions, calibration),
        domain=domain,
        no_novelty=no_novelty,
    )


def _domain(dataset: Dataset, by: SelectSettings) -> tuple[Domain | None, str]:
    """The domain of the training frames, with thresholds from the validation frames."""
    if by.novelty is None:
        return domain_of(dataset, Novelty(), by.descriptor)
    try:
        space = Space.of(dataset[:0], dataset, by.descriptor)
        novelty = space.novelty(by.novelty, by.near_duplicate, by.novelty_of)
    except MissingExtraError as error:
        return None, str(error)
    return domain_of(dataset, novelty, by.descriptor)


def _status(
    name: str, dataset: Dataset, predictions: Predictions, calibration: Mapping[str, Calibration]
) -> dict[str, Any]:
    """The status of a campaign without a state, because there was no campaign."""
    labelled = dataset.labelled()
    record = IterationRecord(
        n=1,
        labelled_total=len(labelled),
        sets={split: len(labelled.subset(split)) for split in SPLITS},
        rmse=rmse(dataset, predictions),
        absolute=absolute(dataset, predictions),
        calibration=calibration,
    )
    tolerance = {key: fit.tolerance for key, fit in calibration.items()}
    return {"name": name, "tolerance": tolerance, "iterations": [record.stored()]}
