"""The plain data of ``trainspot status``, read from the node of a campaign."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from aiida.common.links import LinkType
from aiida.orm import CalcFunctionNode, CalcJobNode, Dict, ProcessNode

from aiida_trainspot.functions.campaign import judge, record_of
from aiida_trainspot.results.endings import exit_of, state_of
from aiida_trainspot.results.retries import retries
from aiida_trainspot.workflows.once import is_replaced

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiida.orm import WorkChainNode

    from trainspot.campaign.record import IterationRecord

_CALLED: Final = (LinkType.CALL_WORK, LinkType.CALL_CALC)
_CHILD: Final = re.compile(
    r"(?:iteration_(?P<n>\d+)_(?P<stage>[a-z]+)|compare_(?P<compared>\d+))(?:_again)?"
)
_JUDGE: Final = judge.__name__
"""Name of the calcfunction ``judge``, whose output ``record`` holds the figures."""


@dataclass(frozen=True)
class Stage:
    """One stage of one iteration.

    Attributes:
        iteration: From 1; the augmentation counts as part of the first iteration.
        name: augment, label, train, explore, evaluate, judge, or compare.
        node: The child of the campaign.
    """

    iteration: int
    name: str
    node: ProcessNode

    @property
    def seconds(self) -> float:
        """Seconds from the submission to the end, or to the last change of a running stage."""
        return round((self.node.mtime - self.node.ctime).total_seconds(), 1)


def status(node: WorkChainNode) -> dict[str, Any]:
    """A campaign as JSON; the schema is that of ``trainspot status --json``.

    ``iterations`` holds the judged iterations. ``seconds`` of an iteration are by stage;
    ``compare`` is the evaluation on the final test frames, and ``final_label`` the labelling after
    the last judgement. ``state`` is ``failed`` if the campaign ended with an error; ``exit`` has
    the reason and the remedy, see ``endings.exit_of``; for ``retries`` see
    ``aiida_trainspot.results.retries``.
    """
    stages = list(stages_of(node))
    records = _records(node, stages)
    ended = exit_of(node, stages, records)
    seconds = _seconds(stages, [record.n for record in records], ended=node.is_terminated)
    return {
        "id": node.uuid,
        "name": node.label,
        "state": state_of(node),
        "exit": ended.to_dict() if ended else None,
        "stage": stages[-1].name if stages else "augment",
        "retries": retries(stages),
        "iterations": [
            replace(record, seconds=seconds.get(record.n, {})).to_dict() for record in records
        ],
    }


def stages_of(node: WorkChainNode) -> Iterator[Stage]:
    """The stages of a campaign in the order of their start."""
    entries = [
        e for e in node.base.links.get_outgoing(link_type=_CALLED).all() if not is_replaced(e.node)
    ]
    for entry in sorted(entries, key=lambda item: (item.node.ctime, item.node.pk)):
        match = _CHILD.fullmatch(entry.link_label)
        if entry.link_label == "augment":
            yield Stage(1, "augment", entry.node)
        elif match and match["n"]:
            yield Stage(int(match["n"]), match["stage"], entry.node)
        elif match:
            yield Stage(int(match["compared"]), "compare", entry.node)
        elif entry.node.process_label == _JUDGE and "record" in entry.node.outputs:
            yield Stage(record_of(entry.node.outputs.record).n, "judge", entry.node)


def _records(node: WorkChainNode, stages: list[Stage]) -> list[IterationRecord]:
    """The figures of each judged iteration: the final figures, or those of its judgement."""
    records: dict[int, IterationRecord] = {}
    for stage in stages:
        record = stage.node.outputs.record if stage.name == "judge" and _ended(stage) else None
        if isinstance(record, Dict):
            records[stage.iteration] = record_of(record)
    final = node.base.links.get_outgoing(link_type=LinkType.RETURN, link_label_filter="iterations%")
    for entry in final.all():
        figures = record_of(entry.node)
        records[figures.n] = figures
    return [records[n] for n in sorted(records)]


def _ended(stage: Stage) -> bool:
    return bool(stage.node.is_finished_ok)


def _seconds(stages: list[Stage], judged: list[int], *, ended: bool) -> dict[int, dict[str, float]]:
    """Seconds by iteration and stage; later stages count to the last judged iteration."""
    seconds: dict[int, dict[str, float]] = {}
    for stage in stages:
        n, name = stage.iteration, stage.name
        if ended and judged and n > judged[-1]:
            n, name = judged[-1], f"final_{name}"
        times = seconds.setdefault(n, {})
        times[name] = round(times.get(name, 0.0) + stage.seconds, 1)
    return seconds


# ── progress ──────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Progress:
    """Progress of the current stage.

    Attributes:
        iteration: From 1.
        stage: Its name.
        done: Jobs that have ended.
        jobs: Jobs that have been submitted.
    """

    iteration: int
    stage: str
    done: int
    jobs: int


def progress(node: WorkChainNode) -> Progress:
    """The current stage and its jobs."""
    stages = list(stages_of(node))
    if not stages:
        return Progress(1, "augment", 0, 0)
    last = stages[-1]
    if isinstance(last.node, CalcJobNode):
        return Progress(last.iteration, last.name, int(last.node.is_terminated), 1)
    if isinstance(last.node, CalcFunctionNode):
        return Progress(last.iteration, last.name, 0, 0)
    jobs = [
        child
        for child in last.node.called_descendants
        if isinstance(child, CalcJobNode) and not is_replaced(child)
    ]
    ended = sum(1 for job in jobs if job.is_terminated)
    return Progress(last.iteration, last.name, ended, len(jobs))
