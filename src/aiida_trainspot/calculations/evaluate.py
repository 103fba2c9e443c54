"""``EvaluationCalculation``: a committee on many frames, by our own command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiida.orm import Dict, SinglefileData, Str

from aiida_trainspot.calculations.base import Job, TrainspotCalculation
from aiida_trainspot.data.pes import PESData
from trainspot.common.errors import InputError
from trainspot.common.validation import parse_settings
from trainspot.evaluate.settings import EvaluateSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiida.engine.processes.process_spec import CalcJobProcessSpec

DATASET = "dataset.h5"
PREDICTIONS = "predictions.h5"
ALLOW_NON_FINITE = "allow_non_finite"
_PRACTICAL = EvaluateSettings.practical | EvaluateSettings.former.keys()


class EvaluationCalculation(TrainspotCalculation):
    """Runs ``trainspot evaluate`` beside the accelerator; out come the committee's predictions."""

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Declare the frames, the members, and the file of predictions."""
        super().define(spec)
        spec.input("dataset", valid_type=PESData, help="Frames to evaluate, labelled or not.")
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
        # Not a node: it changes no more than the rounding, and must change no hash.
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
            help="Succeed even if no prediction of a member is finite, as of few frames it may be.",
        )
        spec.output("predictions", valid_type=SinglefileData, help="HDF5, see the contract.")
        spec.inputs["metadata"]["options"]["parser_name"].default = "trainspot.evaluate"

    def write(self, directory: Path) -> Job:
        """Everything is on the command line; see ``TrainspotCalculation.write``."""
        del directory
        given = {**self.inputs.settings.get_dict(), **self.inputs.practical}
        settings = parse_settings(EvaluateSettings, given)
        job = Job(arguments=[], retrieve=[PREDICTIONS])
        frames = job.copy(self.inputs.dataset, DATASET)
        # Sorted, so that a member's number in the predictions is that of its label.
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


def _by_number(item: tuple[str, Any]) -> tuple[str, int, str]:
    """Order of ``member_2`` before ``member_10``."""
    stem, _, number = item[0].rpartition("_")
    return (stem, int(number), "") if number.isdigit() else (item[0], 0, "")


def _valid_settings(node: Dict, _port: Any) -> str | None:
    misplaced = sorted(_PRACTICAL & node.get_dict().keys())
    if misplaced:
        return f"{', '.join(misplaced)}: goes into the input 'practical', which is not hashed"
    return _complaint(node.get_dict())


def _valid_practical(given: Mapping[str, Any], _port: Any) -> str | None:
    misplaced = sorted(given.keys() - _PRACTICAL)
    if misplaced:
        return f"{', '.join(misplaced)}: goes into the input 'settings', which is hashed"
    return _complaint(given)


def _complaint(given: Mapping[str, Any]) -> str | None:
    try:
        parse_settings(EvaluateSettings, given)
    except InputError as error:
        return str(error)
    return None


def _some_model(models: Any, _port: Any) -> str | None:
    return None if models else "at least one model is needed"
