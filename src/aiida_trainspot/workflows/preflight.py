"""Preflight checks of the work chain of an engine, which need AiiDA and the computer.

The checks that need only settings and frames belong to the engine, see ``trainspot.engine``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trainspot.data.dataset import Dataset
    from trainspot.engine import Preflight, Remark


@dataclass(frozen=True)
class FirstLabels:
    """The labels that a campaign computes first, and the resources for them.

    Attributes:
        settings: Settings of the label engine.
        make: Makes the frames of the first iteration, which takes seconds.
        is_thorough: Whether slow checks run too; if not, only those for immediate failures.
        shares_machine: Whether the jobs share this machine, without a scheduler.
        at_once: Number of jobs that share the memory.
        memory: The shared memory, GB; infinite if unknown.
    """

    settings: Any
    make: Callable[[], Dataset]
    is_thorough: bool
    shares_machine: bool
    at_once: int
    memory: float

    @cached_property
    def prepared(self) -> Dataset:
        """All frames of the first iteration, made at the first access."""
        return self.make()

    @cached_property
    def frames(self) -> Dataset:
        """The frames of the first iteration that need labels."""
        return self.prepared.unlabelled()


class Foresees:
    """Base of the work chains of engines; both checks are fast and store nothing."""

    @classmethod
    def preflight(cls, facts: Preflight) -> Iterator[Remark]:
        """Checks before any frame is made, such as of missing installations.

        Args:
            facts: The inputs of the checks.
        """
        del facts
        yield from ()

    @classmethod
    def preflight_labels(cls, first: FirstLabels) -> Iterator[Remark]:
        """Checks of the first labels; only for label engines.

        Args:
            first: The frames to label, and the resources.
        """
        del first
        yield from ()
