"""Why a campaign ended, from its nodes, in the words of ``campaign.ending``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from aiida.common.links import LinkType
from aiida.orm import CalcJobNode, WorkChainNode
from pydantic import ValidationError

from aiida_trainspot import exit_codes
from aiida_trainspot.functions.campaign import campaign_of
from aiida_trainspot.workflows.jobs import why
from aiida_trainspot.workflows.once import is_replaced
from trainspot.campaign import ending as words
from trainspot.campaign.exit import Ending, Exit
from trainspot.common.errors import TrainspotError
from trainspot.data.refused import without_marked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiida.orm import ProcessNode

    from aiida_trainspot.results.status import Stage
    from trainspot.campaign.record import IterationRecord
    from trainspot.config.models import Campaign

WELL: Final = (
    0,
    exit_codes.MAX_ITERATIONS.status,
    exit_codes.BUDGET_SPENT.status,
    exit_codes.POOL_EXHAUSTED.status,
)
"""Exit statuses of campaigns with a regular end."""

_CALLED: Final = (LinkType.CALL_WORK, LinkType.CALL_CALC)
_MEMBER: Final = re.compile(r"member_\d+")
_OURS: Final = re.compile(r"trainspot\.common\.errors\.\w+: (.+)")
"""The line of a traceback with an error of ours."""
_OF_STAGE: Final = {
    exit_codes.SUB_PROCESS_FAILED_AUGMENT.status: "augment",
    exit_codes.TOO_MANY_FAILED_LABELS.status: "label",
    exit_codes.SUB_PROCESS_FAILED_LABEL.status: "label",
    exit_codes.SUB_PROCESS_FAILED_TRAIN.status: "train",
    exit_codes.SUB_PROCESS_FAILED_EXPLORE.status: "explore",
    exit_codes.SUB_PROCESS_FAILED_EVALUATE.status: "evaluate",
}


def state_of(node: WorkChainNode) -> str:
    """``failed`` for a campaign that ended with an error, else the state in AiiDA."""
    if node.is_finished and node.exit_status not in WELL:
        return "failed"
    return str(node.process_state.value) if node.process_state else "created"


def exit_of(
    node: WorkChainNode, stages: Sequence[Stage], records: Sequence[IterationRecord]
) -> Exit | None:
    """How a campaign ended; ``None`` before its end.

    Args:
        node: A ``TrainsPotWorkChain``.
        stages: Its stages, see ``status.stages_of``.
        records: The figures of its judged iterations.
    """
    if not node.is_terminated:
        return None
    if node.exit_status == 0:
        return Exit(0, "converged")
    labels = {
        code.status: code.label.removeprefix("ERROR_").lower()
        for code in vars(exit_codes).values()
        if isinstance(code, exit_codes.Exit)
    }
    label = labels.get(node.exit_status or -1, node.process_state.value)
    return Exit(node.exit_status, label, _ending(node, stages, records))


def _ending(
    node: WorkChainNode, stages: Sequence[Stage], records: Sequence[IterationRecord]
) -> Ending:
    last = stages[-1] if stages else None
    if node.is_excepted:
        return words.crashed(_named(node), *((last.name, last.iteration) if last else ()))
    if not node.is_finished:
        where = (last.name, last.iteration, *_done(last)) if last else ("augment", 1, 0, 0)
        return words.stopped(*where, _campaign(node))
    campaign = _campaign(node)
    name = _OF_STAGE.get(node.exit_status)
    failed = next((stage for stage in reversed(stages) if stage.name == name), None)
    if campaign is not None and failed is not None:
        return _of_stage(failed, campaign)
    if campaign is not None and records:
        return _of_verdict(node, records[-1], campaign)
    return Ending(node.exit_message or "")


def _of_verdict(node: WorkChainNode, record: IterationRecord, campaign: Campaign) -> Ending:
    """The ending of a campaign without a failed stage: the last judgement ended it."""
    if node.exit_status == exit_codes.NO_VALID_EXPLORATION.status:
        return words.nothing_valid(record, campaign.screen)
    if node.exit_status == exit_codes.MAX_ITERATIONS.status:
        return words.not_converged(record, campaign)
    if node.exit_status == exit_codes.POOL_EXHAUSTED.status:
        return words.pool_exhausted(record, campaign.screen)
    if node.exit_status == exit_codes.BUDGET_SPENT.status:
        labelled = node.outputs.dataset.n_labelled if "dataset" in node.outputs else 0
        return words.budget_spent(record, labelled, campaign)
    return Ending(node.exit_message or "")


def _campaign(node: WorkChainNode) -> Campaign | None:
    """The campaign, or ``None`` if this version cannot read it."""
    if "config" not in node.inputs:
        return None
    try:
        return campaign_of(node.inputs.config)
    except (ValidationError, TrainspotError):
        return None


def _of_stage(stage: Stage, campaign: Campaign) -> Ending:
    outputs = stage.node.outputs
    if stage.name == "label" and "failures" in outputs and len(outputs.failures):
        inputs = stage.node.inputs
        nodes = [inputs[name] for name in ("dataset", "chosen") if name in inputs]
        # Frames that the screen refused do not count, see label.min_success.
        asked = {i for node in nodes for i in without_marked(node.unlabelled()).ids}
        failed = without_marked(outputs.failures.dataset)
        labelled = len(asked) - len(failed)
        return words.too_few_labels(labelled, failed, campaign)
    root, path = _root(stage.node)
    member = next((label for label in path if _MEMBER.fullmatch(label)), "")
    text = _said(root)
    return words.stage_failed(
        stage.name,
        stage.iteration,
        f"{member}: {text}" if member else text,
        root.exit_status,
        campaign,
        f"verdi process report {root.pk}",
    )


def _root(node: ProcessNode) -> tuple[ProcessNode, list[str]]:
    """The innermost process that failed, and the labels of the calls that lead to it.

    Of several failed work chains the first is followed; of several failed calculations the last,
    which was the last attempt.
    """
    failed = [
        entry
        for entry in node.base.links.get_outgoing(link_type=_CALLED).all()
        if isinstance(entry.node, CalcJobNode | WorkChainNode)
        and entry.node.is_terminated
        and not entry.node.is_finished_ok
        and not is_replaced(entry.node)
    ]
    if not failed:
        return node, []
    failed.sort(key=lambda entry: (entry.node.ctime, entry.node.pk))
    jobs = all(isinstance(entry.node, CalcJobNode) for entry in failed)
    chosen = failed[-1 if jobs else 0]
    root, path = _root(chosen.node)
    return root, [chosen.link_label, *path]


def _said(node: ProcessNode) -> str:
    """The message of a failed process."""
    if node.is_excepted:
        return f"{node.process_label} raised an error: {_named(node)}"
    return str(node.exit_message) if node.is_finished and node.exit_message else why(node)


def _named(node: ProcessNode) -> str:
    """The line of a traceback that names the error: the last line without indentation.

    An error of ours comes before errors that AiiDA made of it.
    """
    lines = (node.exception or "").splitlines()
    if ours := [match[1] for line in lines if (match := _OURS.match(line))]:
        return ours[-1]
    said = [line for line in lines if line.strip() == line != ""]
    return said[-1] if said else ""


def _done(stage: Stage) -> tuple[int, int]:
    """Number of successful jobs of a stage, and of all its jobs."""
    if isinstance(stage.node, CalcJobNode):
        return int(stage.node.is_finished_ok), 1
    jobs = [
        child
        for child in stage.node.called_descendants
        if isinstance(child, CalcJobNode) and not is_replaced(child)
    ]
    return sum(1 for job in jobs if job.is_finished_ok), len(jobs)
