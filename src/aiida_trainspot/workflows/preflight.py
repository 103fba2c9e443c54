"""What the work chain of an engine foresees: what only AiiDA and the computer can tell.

The engine itself foresees what its settings and the frames tell, see ``trainspot.engine``.
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
    """The labels that a campaign computes first, and what there is to compute them with.

    Attributes:
        settings: Those of the label engine.
        make: Makes the frames of the first iteration; that takes seconds.
        is_thorough: Whether seconds are spent; else only where a campaign would fail at once.
        shares_machine: Whether the jobs run side by side on this machine, without a scheduler.
        at_once: Jobs that share the memory.
        memory: What they share, GB; infinite if nobody knows.
    """

    settings: Any
    make: Callable[[], Dataset]
    is_thorough: bool
    shares_machine: bool
    at_once: int
    memory: float

    @cached_property
    def prepared(self) -> Dataset:
        """All frames of the first iteration, made when they are first asked for."""
        return self.make()

    @cached_property
    def frames(self) -> Dataset:
        """Those of them that need labels."""
        return self.prepared.unlabelled()


class Foresees:
    """Base of the work chains of engines; both answers are fast, and nothing is stored."""

    @classmethod
    def preflight(cls, facts: Preflight) -> Iterator[Remark]:
        """What can be said before any frame is made, such as that something is not installed.

        Args:
            facts: What is known.
        """
        del facts
        yield from ()

    @classmethod
    def preflight_labels(cls, first: FirstLabels) -> Iterator[Remark]:
        """What can be said of the first labels; only the label stage is asked.

        Args:
            first: What will be labelled, and where.
        """
        del first
        yield from ()
