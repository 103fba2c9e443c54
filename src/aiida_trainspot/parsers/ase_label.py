"""Parser of ``trainspot label``."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from aiida.common.exceptions import AiidaException

from aiida_trainspot.calculations.ase_label import FAILURES, JOURNAL, LABELLED
from aiida_trainspot.data.pes import PESData
from aiida_trainspot.parsers.base import TrainspotParser, required
from trainspot.common.errors import DataError, OutputMissingError
from trainspot.common.validation import parse_settings
from trainspot.data import hdf5
from trainspot.data.dataset import Dataset
from trainspot.label import journal
from trainspot.label.ase import AseLabelEngine
from trainspot.label.base import engine, former_theories

if TYPE_CHECKING:
    from aiida.orm import CalcJobNode

    from trainspot.label.base import LabelResult

_LOGGER: Final = logging.getLogger(__name__)


class AseLabelParser(TrainspotParser):
    """Attaches labelled and failed frames, which together are the frames of the job.

    For a job that was cut off, these are the frames that it had finished.
    """

    def read(self, directory: Path, temporary: Path | None) -> None:
        """Attach both datasets."""
        del directory
        if temporary is None:
            raise OutputMissingError("no file was retrieved", where=LABELLED)
        labelled = PESData.from_file(required(temporary, LABELLED))
        failures = PESData.from_file(required(temporary, FAILURES))
        asked = set(self.node.inputs.dataset.dataset.ids)
        if asked != {*labelled.dataset.ids, *failures.dataset.ids}:
            raise DataError("does not hold the frames of the job", where=LABELLED)
        self.out("labelled", labelled)
        self.out("failures", failures)

    def salvage(self, directory: Path, temporary: Path | None) -> None:
        """Attach the frames in the journal, if the journal belongs to this job."""
        del directory
        if temporary is None or not (temporary / JOURNAL).is_file():
            return
        try:
            result = _read(temporary / JOURNAL, self.node)
        except DataError as error:
            self.logger.warning("the journal cannot be used: %s", error)
            return
        self.out("labelled", PESData(result.labelled))
        self.out("failures", PESData(result.failures))


def written_by(job: CalcJobNode) -> Dataset:
    """The frames that a running or killed job has labelled, read from its working directory.

    Without frames if the directory cannot be reached or has been cleaned.
    """
    if "remote_folder" not in job.outputs:
        return Dataset.from_frames([])
    with TemporaryDirectory() as folder:
        for name in (
            JOURNAL,
            LABELLED,
        ):  # the job removes its journal after it has written all frames
            path = Path(folder) / name
            try:
                job.outputs.remote_folder.getfile(name, str(path))
                return _read(path, job).labelled if name == JOURNAL else hdf5.read(path)
            except (OSError, AiidaException, DataError) as error:
                _LOGGER.info("%s of %s<%s>: %s", name, job.process_label, job.pk, error)
    return Dataset.from_frames([])


def _read(path: Path, job: CalcJobNode) -> LabelResult:
    settings = parse_settings(AseLabelEngine.Settings, job.inputs.settings.get_dict())
    asked = job.inputs.dataset.dataset
    former = former_theories(engine("ase")(), settings)
    return journal.read(path, asked, AseLabelEngine.theory(settings), former)
