"""Submitting a child exactly once, also when a worker dies in the middle of a step.

AiiDA repeats the step a worker died in. A child that the dead worker had already submitted is
found again by the label of its call link, so that nothing is computed twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiida.common.links import LinkType

if TYPE_CHECKING:
    from aiida.engine import Process, WorkChain
    from aiida.orm import ProcessNode


def children(workchain: WorkChain, pattern: str) -> dict[str, ProcessNode]:
    """Child processes by the label of their call link.

    Args:
        workchain: The parent.
        pattern: SQL pattern of the labels, such as ``frame_%``.
    """
    found = workchain.node.base.links.get_outgoing(
        link_type=(LinkType.CALL_CALC, LinkType.CALL_WORK), link_label_filter=pattern
    )
    return {entry.link_label: entry.node for entry in found.all()}


def submit_once(
    workchain: WorkChain, label: str, process: type[Process], **inputs: Any
) -> ProcessNode:
    """Submit a child under a call-link label, or find the one that has it already.

    Args:
        workchain: The parent, in one of its steps.
        label: Unique among the children of this parent.
        process: Class of the child.
        inputs: Its inputs.
    """
    if label in (known := children(workchain, label)):
        return known[label]
    metadata = {**inputs.pop("metadata", {}), "call_link_label": label}
    return workchain.submit(process, **inputs, metadata=metadata)
