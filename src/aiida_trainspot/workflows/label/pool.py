"""``PoolLabelWorkChain``: labels looked up in a node with labelled frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiida_trainspot.functions.label import look_up
from aiida_trainspot.workflows.label.base import LabelEngineWorkChain
from aiida_trainspot.workflows.once import decide_once

if TYPE_CHECKING:
    from aiida.engine.processes.workchains.workchain import WorkChainSpec


class PoolLabelWorkChain(LabelEngineWorkChain):
    """Looks labels up in ``pool``; starts no job."""

    engine = "pool"

    @classmethod
    def define(cls, spec: WorkChainSpec) -> None:
        """Outline."""
        super().define(spec)
        spec.outline(cls.look_up)

    def look_up(self) -> None:
        """Look up all labels in one decision."""
        self.finish(
            decide_once(
                self, "look_up", look_up, dataset=self.inputs.dataset, pool=self.inputs.pool
            )
        )
