"""Repeated trainings of a campaign, and settings that differ from its file."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiida.engine import CalcJob
from aiida.orm import CalcJobNode, Dict, QueryBuilder, WorkChainNode

from aiida_trainspot import exit_codes
from aiida_trainspot.workflows.once import is_replaced

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aiida_trainspot.results.status import Stage

_MEMBER: Final = re.compile(r"(?P<member>member_\d+)(?:_halved_(?P<round>\d+))?")
_EPOCH: Final = re.compile(r"_epoch-(\d+)")
_NODE_FAILURE: Final = CalcJob.exit_codes.ERROR_SCHEDULER_NODE_FAILURE.status
# Jobs that end at their walltime are continued by design and are not listed.
_REASONS: Final = {
    exit_codes.OUT_OF_MEMORY.status: "ran out of memory",
    exit_codes.KILLED.status: "was killed",
    _NODE_FAILURE: "lost its node",
}


class _Training(NamedTuple):
    """A job of a member in one round of the stage, and the exit status of the member."""

    member: str
    round: int
    job: CalcJobNode
    settings: dict[str, Any]
    ended: int | None


def retries(stages: Iterable[Stage]) -> list[dict[str, Any]]:
    """Repeated trainings, and settings that differ from the campaign file.

    Args:
        stages: The stages of the campaign.

    Returns:
        One JSON object each: ``iteration``, ``stage``, ``members``, ``settings`` (name → ``file``
        and ``used``; empty if no setting differs) and ``text``, a sentence about it.
    """
    entries = []
    for stage in stages:
        if stage.name == "train" and isinstance(stage.node, WorkChainNode):
            trainings = _trainings(stage.node)
            changes = [*_repeated(trainings), *_changed(stage.node, trainings)]
            entries += [
                {"iteration": stage.iteration, "stage": "train", **entry} for entry in changes
            ]
    return entries


def _trainings(stage: WorkChainNode) -> list[_Training]:
    query = QueryBuilder().append(WorkChainNode, filters={"id": stage.pk}, tag="stage")
    member = {"label": {"like": r"member\_%"}}
    query.append(
        WorkChainNode,
        with_incoming="stage",
        project="attributes.exit_status",
        edge_filters=member,
        edge_project="label",
        edge_tag="called",
        tag="member",
    )
    query.append(CalcJobNode, with_incoming="member", project="*", tag="job")
    query.append(
        Dict, with_outgoing="job", edge_filters={"label": "settings"}, project="attributes"
    )
    trainings = []
    for ended, job, settings, label in query.iterall():
        match = _MEMBER.fullmatch(label)
        if match and not is_replaced(job):
            trainings.append(
                _Training(match["member"], int(match["round"] or 0), job, settings, ended)
            )
    return sorted(trainings, key=lambda training: (training.round, training.job.pk))


def _repeated(trainings: list[_Training]) -> Iterator[dict[str, Any]]:
    """Trainings that were repeated after a failure, with the same settings."""
    for member in sorted({training.member for training in trainings}):
        jobs = [training for training in trainings if training.member == member]
        for first, second in pairwise(jobs):
            reason = _REASONS.get(first.job.exit_status or 0)
            if reason is None or first.settings != second.settings:
                continue
            checkpoint = second.job.inputs.checkpoint if "checkpoint" in second.job.inputs else None
            epoch = checkpoint and _EPOCH.search(checkpoint.filename)
            where = f"continued after epoch {epoch[1]}" if epoch else "started again"
            text = f"the training of {member} {reason} and {where}, with the same settings"
            yield {"members": [member], "settings": {}, "text": text}


def _changed(stage: WorkChainNode, trainings: list[_Training]) -> Iterator[dict[str, Any]]:
    """Settings of trained members that differ from the campaign file."""
    asked = stage.inputs.settings.get_dict() if "settings" in stage.inputs else None
    if asked is None:
        return
    last = {training.member: training for training in trainings}  # in order: the latest job of each
    alike: dict[tuple[tuple[str, ...], str], list[str]] = defaultdict(list)
    for member, training in sorted(last.items()):
        names = tuple(k for k in sorted(training.settings) if training.settings[k] != asked.get(k))
        alike[names, str([training.settings[name] for name in names])].append(member)
    short = sorted(
        {
            t.member
            for t in trainings
            if exit_codes.OUT_OF_MEMORY.status in (t.ended, t.job.exit_status)
        }
    )
    why = f": {', '.join(short)} ran out of memory" if short else ""
    for (names, _), members in alike.items():
        if not names:
            continue
        used = last[members[0]].settings
        settings = {name: {"file": asked.get(name), "used": used[name]} for name in names}
        words = ", ".join(f"{k} {v['used']} (file: {v['file']})" for k, v in settings.items())
        if len(alike) == 1:
            text = f"all members were trained with {words}{why}"
        else:
            text = (
                f"{', '.join(members)} was trained with {words}{why}; the other members were not, "
                "which adds to the disagreement"
            )
        yield {"members": members, "settings": settings, "text": text}


def sentences(report: dict[str, Any]) -> list[str]:
    """Sentences about the retries in the result of ``status``.

    Args:
        report: See ``status``.
    """
    return [
        f"In iteration {entry['iteration']} {entry['text']}." for entry in report.get("retries", ())
    ]
