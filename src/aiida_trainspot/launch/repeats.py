"""Labels that a campaign reuses from the database, and labels that it must repeat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiida.common.exceptions import NotExistent
from aiida.orm import CalcJobNode, WorkChainNode
from pydantic import ValidationError

from aiida_trainspot.data.pes import PESData
from aiida_trainspot.functions.campaign import campaign_of
from aiida_trainspot.results.find import campaigns
from aiida_trainspot.results.status import stages_of
from aiida_trainspot.workflows.label.base import engine_workchain
from trainspot.common.errors import TrainspotError
from trainspot.common.text import counted
from trainspot.common.validation import parse_settings
from trainspot.config.likeness import label_differences
from trainspot.engine import Remark
from trainspot.label import base

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiida.orm import ProcessNode

    from trainspot.config.models import Campaign
    from trainspot.data.dataset import Dataset

_LATEST: Final = 50
"""Number of earlier campaigns that are compared."""


def repeats(campaign: Campaign, frames: Dataset) -> Iterator[Remark]:
    """Remarks about first labels that exist already, and about labels computed again.

    Args:
        campaign: The resolved campaign.
        frames: The frames that it labels first.
    """
    wanted, reusable = set(frames.ids), set[str]()
    if not wanted:
        return
    others: list[tuple[set[str], WorkChainNode, list[str]]] = []
    here = _resolved(campaign, frames.species)
    for node in campaigns(_LATEST):
        try:
            earlier = _resolved(campaign_of(node.inputs.config), frames.species)
            common = wanted & _labelled(node, earlier.label.engine)
        except (NotExistent, AttributeError, ValidationError, TrainspotError):
            continue  # a campaign of another version, or damaged
        if not common:
            continue
        if changed := label_differences(earlier, here):
            others.append((common, node, changed))
        else:
            reusable |= common
    if reusable:
        text = f"{len(reusable)} of {counted(len(wanted), 'label')} will be taken"
        yield Remark("note", f"{text} from earlier campaigns")
    repeated = [(common - reusable, node, changed) for common, node, changed in others]
    lost, node, changed = max(repeated, key=lambda entry: len(entry[0]), default=(set(), None, []))
    if lost and node is not None:
        verb = "differs" if len(changed) == 1 else "differ"
        text = f"{', '.join(changed)} {verb} from campaign '{node.label}' <{node.pk}>"
        yield Remark("warning", f"{text}: {counted(len(lost), 'label')} will be computed again")


def _resolved(campaign: Campaign, species: list[str]) -> Campaign:
    """The campaign with the settings that its label engine derives from the elements."""
    section = campaign.label
    values = section.settings.model_dump(mode="json")
    try:
        full = engine_workchain(section.engine).resolve(values, species)
        settings: Any = parse_settings(base.engine(section.engine).Settings, full)
    except TrainspotError:
        return campaign
    return campaign.model_copy(update={"label": section.model_copy(update={"settings": settings})})


def _labelled(campaign: WorkChainNode, engine: str) -> set[str]:
    """Ids of the frames that a campaign has labelled, even if it was cut off."""
    workchain = engine_workchain(engine)
    labelled: set[str] = set()
    for stage in stages_of(campaign):
        if stage.name != "label" or not isinstance(stage.node, WorkChainNode):
            continue
        parts: list[ProcessNode] = [stage.node]
        if "labelled" not in stage.node.outputs:
            parts = stage.node.called_descendants
        for part in parts:
            labelled |= _labelled_by(part) or workchain.labelled_alone(part)
    return labelled - _ids(
        campaign.inputs.dataset
    )  # without the frames that had labels at the start


def _labelled_by(part: ProcessNode) -> set[str]:
    has_labels = isinstance(part, WorkChainNode | CalcJobNode) and "labelled" in part.outputs
    return _ids(part.outputs.labelled) if has_labels else set()


def _ids(node: PESData) -> set[str]:
    with node.opened() as dataset:
        ids, rows = dataset.ids, dataset.is_labelled
        return {identity for identity, labelled in zip(ids, rows, strict=True) if labelled}
