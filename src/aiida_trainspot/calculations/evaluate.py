"""``EvaluationCalculation``: a committee predicts many frames with ``trainspot evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiida.orm import Dict, SinglefileData, Str

from aiida_trainspot.calculations.base import Job, TrainspotCalculation
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.data.predictions import PredictionsData, predicted_ids
from trainspot.campaign.decisions import comparison_set, held_out
from trainspot.common.errors import InputError
from trainspot.common.validation import parse_settings
from trainspot.data import hdf5
from trainspot.evaluate.settings import EvaluateSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiida.engine.processes.process_spec import CalcJobProcessSpec

    from trainspot.data.dataset import Dataset

DATASET = "dataset.h5"
PREDICTIONS = PredictionsData.FILENAME
ALLOW_NON_FINITE = "allow_non_finite"
_PRACTICAL = EvaluateSettings.practical | EvaluateSettings.former.keys()

ALL: Final = "all"
HELD_OUT: Final = "held_out"
TEST: Final = "test"
LABELLED: Final = "labelled"

_VIEWS: Final[Mapping[str, Callable[[Dataset], Dataset]]] = {
    ALL: lambda dataset: dataset,
    HELD_OUT: held_out,
    TEST: lambda dataset: comparison_set(dataset, everything=False),
    LABELLED: lambda dataset: comparison_set(dataset, everything=True),
}

FRAMES: Final = ("dataset", "view", "explored", "predicted")
"""The inputs that define the frames to evaluate."""


def frames_of(given: Mapping[str, Any]) -> Dataset:
    """The frames that a job evaluates.

    Args:
        given: The inputs of the job; only those in ``FRAMES`` are used.
    """
    frames = _VIEWS[given["view"].value if "view" in given else ALL](given["dataset"].dataset)
    if "explored" in given:
        frames = frames.merge(given["explored"].dataset)
    if "predicted" in given:
        frames = frames.without(predicted_ids(given["predicted"]))
    return frames


def ids_of(given: Mapping[str, Any]) -> list[str]:
    """Ids of the frames that a job evaluates; see ``frames_of``."""
    ids: list[str] = (frames_of(given) if _is_selection(given) else given["dataset"]).ids
    return ids


def _is_selection(inputs: Mapping[str, Any]) -> bool:
    return any(name in inputs for name in FRAMES[1:])


class EvaluationCalculation(TrainspotCalculation):
    """Runs ``trainspot evaluate``, which writes the predictions of a committee."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the frames, the members, and the file of predictions."""
        super().define(spec)
        spec.input("dataset", valid_type=PESData, help="Frames to evaluate, labelled or not.")
        # The job selects the frames, so that no node has to store a selection of another node.
        spec.input(
            "view",
            valid_type=Str,
            required=False,
            validator=_valid_view,
            help=f"Frames of the dataset that are evaluated: {', '.join(_VIEWS)}; default: {ALL}.",
        )
        spec.input("explored", valid_type=PESData, required=False, help="More frames to evaluate.")
        spec.input(
            "predicted",
            valid_type=SinglefileData,
            required=False,
            help="Earlier predictions of the same members; their frames are left out.",
        )
        spec.input_namespace(
            "models", valid_type=SinglefileData, dynamic=True, help="The members of the committee."
        )
        spec.input("kind", valid_type=Str, help="Kind of the models: mace, toy, …")
        spec.input(
            "settings",
            valid_type=Dict,
            default=lambda: Dict({}),
            validator=_valid_settings,
            help="Keys of EvaluateSettings that decide the numbers: dtype.",
        )
        # Not a node: it must not change the hash, as it changes nothing but the rounding.
        spec.input(
            "practical",
            valid_type=dict,
            non_db=True,
            default=dict,
            validator=_valid_practical,
            help="The other keys of EvaluateSettings: max_atoms, device, workers.",
        )
        spec.inputs["models"].validator = _some_model
        spec.input(
            f"metadata.options.{ALLOW_NON_FINITE}",
            valid_type=bool,
            required=False,
            help="Succeed even if no prediction of a member is finite, as can be for few frames.",
        )
        spec.output("predictions", valid_type=SinglefileData, help="A PredictionsData.")
        spec.inputs["metadata"]["options"]["parser_name"].default = "trainspot.evaluate"

    def write(self, directory: Path) -> Job:
        """Put all settings on the command line; see ``TrainspotCalculation.write``."""
        values = {**self.inputs.settings.get_dict(), **self.inputs.practical}
        settings = parse_settings(EvaluateSettings, values)
        job = Job(arguments=[], retrieve=[PREDICTIONS])
        frames = self._write_frames(directory, job)
        # Sorted, so that each member has the same number in its label and in the predictions.
        members = [
            job.copy(node, label + Path(node.filename).suffix)
            for label, node in sorted(self.inputs.models.items(), key=_by_number)
        ]
        job.arguments = [
            *("evaluate", frames, "--models", *members, "--kind", self.inputs.kind.value),
            *("--dtype", settings.dtype, "--max-atoms", str(settings.max_atoms)),
            *("--device", settings.device, "--output", PREDICTIONS),
        ]
        if settings.workers is not None:
            job.arguments += ["--workers", str(settings.workers)]
        return job

    def _write_frames(self, directory: Path, job: Job) -> str:
        """Copy or write the frames; AiiDA stores no selection, since its nodes are stored."""
        if not _is_selection(self.inputs):
            return job.copy(self.inputs.dataset, DATASET)
        hdf5.write(frames_of(self.inputs), directory / DATASET)
        job.provenance_exclude.append(DATASET)
        return DATASET


def _by_number(item: tuple[str, Any]) -> tuple[str, int, str]:
    """Order of ``member_2`` before ``member_10``."""
    stem, _, number = item[0].rpartition("_")
    return (stem, int(number), "") if number.isdigit() else (item[0], 0, "")


def _valid_settings(node: Dict, _port: Any) -> str | None:
    misplaced = sorted(_PRACTICAL & node.get_dict().keys())
    if misplaced:
        return f"{', '.join(misplaced)}: goes into the input 'practical', which is not hashed"
    return _complaint(node.get_dict())


def _valid_practical(practical: Mapping[str, Any], _port: Any) -> str | None:
    misplaced = sorted(practical.keys() - _PRACTICAL)
    if misplaced:
        return f"{', '.join(misplaced)}: goes into the input 'settings', which is hashed"
    return _complaint(practical)


def _complaint(settings: Mapping[str, Any]) -> str | None:
    try:
        parse_settings(EvaluateSettings, settings)
    except InputError as error:
        return str(error)
    return None


def _valid_view(node: Str, _port: Any) -> str | None:
    return None if node.value in _VIEWS else f"'{node.value}' is none of {', '.join(_VIEWS)}"


def _some_model(models: Any, _port: Any) -> str | None:
    return None if models else "at least one model is needed"
