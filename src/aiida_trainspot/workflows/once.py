"""Running a child exactly once, also when a worker dies in the middle of a step.

AiiDA repeats the step a worker died in. A child that the dead worker had already submitted, or a
decision it had already taken, is found again by the label of its call link, so that nothing is
computed twice.
"""

from __future__ import annotations

from collections.abc import Callable
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


def decide_once(
    workchain: WorkChain, label: str, function: Callable[..., Any], **inputs: Any
) -> Any:
    """Run a calcfunction under a call-link label, or take what it returned already.

    A run that a dying worker cut off is not finished, and is done again.

    Args:
        workchain: The parent, in one of its steps.
        label: Unique among the children of this parent.
        function: See ``functions.decision``.
        inputs: Its inputs.

    Returns:
        What the function returns: a node, or nodes by name.
    """
    links = workchain.node.base.links
    found = links.get_outgoing(link_type=LinkType.CALL_CALC, link_label_filter=label)
    for node in found.all_nodes():
        if node.is_finished_ok:
            outputs = {name: node.outputs[name] for name in node.outputs}
            return outputs.get("result", outputs)
    return function(**inputs, metadata={"call_link_label": label})
