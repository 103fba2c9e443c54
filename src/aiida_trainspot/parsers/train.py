"""Parser of all trainers, whose classes in the science package read the files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aiida.orm import Dict, SinglefileData

from aiida_trainspot.parsers.base import TrainspotParser

if TYPE_CHECKING:
    from trainspot.train.base import Trainer


class TrainParser(TrainspotParser):
    """Attaches model, checkpoint and metrics; the checkpoint also if the training was cut off."""

    @property
    def trainer(self) -> type[Trainer]:
        """The trainer of the calculation."""
        engine: type[Trainer] = self.node.process_class.trainer()
        return engine

    def read(self, directory: Path, temporary: Path | None) -> None:
        """See ``TrainspotParser.read``."""
        del temporary
        result = self.trainer.read_outputs(directory)
        self.out("model", SinglefileData(result.model, filename=self.trainer.model_filename))
        self.out("metrics", Dict({"epochs": result.metrics, "warnings": result.warnings}))
        if result.checkpoint is not None:
            self._attach_checkpoint(result.checkpoint)

    def salvage(self, directory: Path, temporary: Path | None) -> None:
        """Attach the checkpoint, if the job wrote a complete one."""
        del temporary
        checkpoint = self.trainer.read_checkpoint(directory)
        if checkpoint is not None:
            self._attach_checkpoint(checkpoint)

    def _attach_checkpoint(self, path: Path) -> None:
        # MACE continues from a checkpoint only if its name has the seed and the epoch
        self.out("checkpoint", SinglefileData(path, filename=path.name))
