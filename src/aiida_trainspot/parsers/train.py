"""Parser of all trainers: the trainer of the science package reads, this attaches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aiida.orm import Dict, SinglefileData

from aiida_trainspot.parsers.base import TrainspotParser

if TYPE_CHECKING:
    from trainspot.train.base import Trainer


class TrainParser(TrainspotParser):
    """Attach model, checkpoint and metrics; of a training that was cut off, the checkpoint."""

    @property
    def trainer(self) -> type[Trainer]:
        """The trainer whose calculation this is."""
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
        """Attach the checkpoint, if there is a whole one."""
        del temporary
        checkpoint = self.trainer.read_checkpoint(directory)
        if checkpoint is not None:
            self._attach_checkpoint(checkpoint)

    def _attach_checkpoint(self, path: Path) -> None:
        # the name says the seed and the epoch, without which MACE does not continue from it
        self.out("checkpoint", SinglefileData(path, filename=path.name))
