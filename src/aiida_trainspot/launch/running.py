"""Running campaigns, and whether one of them computes the same as a new campaign."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiida.common.exceptions import NotExistent
from aiida.manage import get_config, get_manager
from aiida.orm import QueryBuilder, WorkChainNode
from pydantic import ValidationError

from aiida_trainspot.functions.campaign import campaign_of
from aiida_trainspot.results.status import progress
from trainspot.campaign.decisions import prepare
from trainspot.common.errors import InputError, TrainspotError
from trainspot.common.text import counted
from trainspot.config.likeness import differences, label_differences
from trainspot.data.dataset import Dataset

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiida.engine.processes.builder import ProcessBuilder

    from trainspot.config.models import Campaign

_BEFORE_LABELS: Final = ("augment", "label")
"""Stages of the first iteration that end before all its labels are finished."""


@dataclass(frozen=True)
class Twin:
    """A running campaign that computes the same results or labels as a new campaign.

    Attributes:
        node: The running campaign.
        stage: Its current stage.
        differing: Different settings that change no result; ``None`` if results differ too.
        labels: Number of common labels, if only labels are common.
    """

    node: WorkChainNode
    stage: str
    differing: tuple[str, ...] | None = ()
    labels: int = 0

    @property
    def is_same(self) -> bool:
        """Whether both campaigns differ at most in names and paths of files."""
        return self.differing == ()

    def __str__(self) -> str:
        """The running campaign, and how it differs from the file."""
        name = f"campaign '{self.node.label}' <{self.node.pk}>"
        if self.is_same:
            return f"{name} with the same file still runs, at stage {self.stage}"
        if self.differing:
            names = ", ".join(self.differing)
            still = f"{name} still runs, at stage {self.stage}"
            return f"{still}; this file differs only in settings that change no result: {names}"
        count = counted(self.labels, "label")
        return f"{name} still runs and computes {count} that this file needs too"

    def refusal(self) -> InputError:
        """The error with the reason why nothing is submitted, and what to do."""
        pk = self.node.pk
        hint = (
            f"to watch that campaign: trainspot status {pk} --watch; to stop it and keep its "
            f"labels: trainspot stop {pk}; to compute everything twice: --again"
        )
        return InputError(str(self), hint=hint)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Lock: one command compares and submits, while other commands of the profile wait."""
    profile = get_manager().get_profile()
    name = profile.name if profile is not None else "none"
    path = Path(get_config().dirpath) / f"trainspot-{name}.lock"
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)  # released when the file is closed, even after a kill
        yield


def running() -> list[WorkChainNode]:
    """Campaigns that have not ended, latest first."""
    ended = ["finished", "excepted", "killed"]
    query = QueryBuilder().append(
        WorkChainNode,
        filters={
            "attributes.process_label": "TrainsPotWorkChain",
            "or": [
                {"attributes.process_state": {"!in": ended}},
                {"attributes": {"!has_key": "process_state"}},
            ],
        },
        tag="node",
    )
    query.order_by({"node": {"ctime": "desc"}})
    return [node for (node,) in query.all() if not node.is_terminated]


def twin(builder: ProcessBuilder | Mapping[str, Any]) -> Twin | None:
    """A running campaign that computes the same as a new campaign, if there is one.

    Args:
        builder: The inputs of the new campaign.
    """
    inputs = dict(builder)
    wanted = campaign_of(inputs["config"])
    matches = [_compared(node, wanted, inputs) for node in running()]
    alike = [match for match in matches if match is not None]
    return min(alike, key=lambda match: (not match.is_same, match.differing is None), default=None)


def _compared(node: WorkChainNode, campaign: Campaign, inputs: Mapping[str, Any]) -> Twin | None:
    try:
        twin_campaign, dataset = campaign_of(node.inputs.config), node.inputs.dataset.dataset
    except (NotExistent, AttributeError, ValidationError, TrainspotError):
        return None  # a campaign of another version
    stage = progress(node)
    frames = inputs["dataset"].dataset
    decisive, practical = differences(twin_campaign, campaign)
    if not decisive and _same_frames(frames, dataset) and _same_foundation(node, inputs):
        return Twin(node, stage.stage, tuple(practical))
    is_early = stage.iteration == 1 and stage.stage in _BEFORE_LABELS
    if is_early and not label_differences(twin_campaign, campaign):
        common = set(_first(frames, campaign)) & set(_first(dataset, twin_campaign))
        if common:
            return Twin(node, stage.stage, None, len(common))
    return None


def _same_frames(first: Dataset, second: Dataset) -> bool:
    """Whether two datasets hold the same geometries with the same labels and splits."""
    if sorted(first.ids) != sorted(second.ids):
        return False
    second = second.select(first.ids)
    rows = first.is_labelled
    same = {
        name: first.column(name) == second.column(name) for name in ("energy", "theory", "split")
    }
    return bool(
        (rows == second.is_labelled).all()
        and same["split"].all()
        and (same["energy"] & same["theory"])[rows].all()
    )


def _same_foundation(node: WorkChainNode, inputs: Mapping[str, Any]) -> bool:
    here = inputs.get("foundation")
    there = node.inputs.foundation if "foundation" in node.inputs else None
    if here is None or there is None:
        return here is there
    contents = [model.get_content(mode="rb") for model in (here, there)]
    return bool(contents[0] == contents[1])


def _first(dataset: Dataset, campaign: Campaign) -> list[str]:
    """Ids of the frames that a campaign labels first."""
    return prepare(dataset, campaign).unlabelled().ids
