"""Running a child exactly once, even if a worker dies in the middle of a step.

AiiDA repeats a step if the worker dies in it. A child or a decision of the dead worker is
identified by the label of its call link, so that nothing is computed twice. A child that was stored
but has not started may be in no queue. This child is closed, so that no worker can ever run it, and
a new child replaces it (decision 0009).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from aiida.common.links import LinkType
from aiida.engine import ProcessState
from aiida.orm import CalcJobNode, WorkChainNode

if TYPE_CHECKING:
    from aiida.engine import Process, WorkChain
    from aiida.orm import ProcessNode

REPLACED: Final = "trainspot_replaced"
"""Extra of a child that was replaced, because its worker died before or during its run."""

_UNSTARTED: Final = (None, ProcessState.CREATED)
_CALLED: Final = (LinkType.CALL_CALC, LinkType.CALL_WORK)


def children(node: ProcessNode, pattern: str) -> dict[str, ProcessNode]:
    """Child processes by the label of their call link, without replaced children.

    Args:
        node: The parent.
        pattern: SQL pattern of the labels, such as ``frame_%``.
    """
    links = node.base.links.get_outgoing(link_type=_CALLED, link_label_filter=pattern)
    return {entry.link_label: entry.node for entry in links.all() if not is_replaced(entry.node)}


def is_replaced(node: ProcessNode) -> bool:
    """Whether another child replaced this process, which must therefore be ignored."""
    return bool(node.is_killed and node.base.extras.get(REPLACED, False))


def submit_once(
    workchain: WorkChain, label: str, process: type[Process], **inputs: Any
) -> ProcessNode:
    """Submit a child under a call-link label, or return the existing child with this label.

    Args:
        workchain: The parent, in one of its steps.
        label: Unique among the children of this parent, and used once in its life.
        process: Class of the child.
        inputs: Its inputs.
    """
    if (child := _started(workchain.node, label)) is not None:
        return child
    metadata = {**inputs.pop("metadata", {}), "call_link_label": label}
    return workchain.submit(process, **inputs, metadata=metadata)


class SubmitsOnce:
    """Mix-in for work chains of other packages: submits each call-link label only once."""

    node: ProcessNode

    def submit(
        self, process: type[Process], inputs: dict[str, Any] | None = None, **kwargs: Any
    ) -> ProcessNode:
        """See ``aiida.engine.Process.submit``; a process without a label is always submitted."""
        metadata = {**(inputs or {}), **kwargs}.get("metadata", {})
        label = metadata.get("call_link_label")
        child = None if label is None else _started(self.node, label)
        submitted: ProcessNode = (
            child if child is not None else super().submit(process, inputs, **kwargs)  # type: ignore[misc]
        )
        return submitted


def decide_once(
    workchain: WorkChain, label: str, function: Callable[..., Any], **inputs: Any
) -> Any:
    """Run a calcfunction under a call-link label, or return the result of an earlier run.

    If the worker died during the earlier run, this run is closed and the function runs again.

    Args:
        workchain: The parent, in one of its steps.
        label: Unique among the children of this parent, and used once in its life.
        function: See ``functions.base.decision``.
        inputs: Its inputs.

    Returns:
        The result of the function: a node, or nodes by name.
    """
    links = workchain.node.base.links
    calls = links.get_outgoing(link_type=LinkType.CALL_CALC, link_label_filter=label)
    for entry in calls.all():
        node = entry.node
        if (
            entry.link_label != label
        ):  # AiiDA takes the label as a pattern: _ stands for any character
            continue
        if node.is_finished_ok:
            outputs = {name: node.outputs[name] for name in node.outputs}
            return outputs.get("result", outputs)
        if not node.is_terminated:
            _replace(node, "cut off with its worker, and taken again")
    return function(**inputs, metadata={"call_link_label": label})


def strays(dead: ProcessNode) -> list[ProcessNode]:
    """Running children of a work chain that has ended, which no process waits for any more.

    Children that have not started are closed, so that they never start.

    Args:
        dead: The work chain.

    Returns:
        Its running jobs and work chains, and those of its children that have ended as well.
    """
    running: list[ProcessNode] = []
    for entry in dead.base.links.get_outgoing(link_type=_CALLED).all():
        child = entry.node
        if not isinstance(child, CalcJobNode | WorkChainNode):
            continue
        if child.is_terminated:
            running += strays(child)
        elif child.process_state in _UNSTARTED:
            _replace(child, "never started, and not needed any more: its parent died")
        else:
            running.append(child)
    return running


def _started(node: ProcessNode, label: str) -> ProcessNode | None:
    """The child with this label, if it has started; otherwise the child is closed."""
    child = children(node, label).get(label)
    if child is not None and child.process_state in _UNSTARTED:
        _replace(child, "never started, and replaced: the worker that made it died")
        return None
    return child


def _replace(node: ProcessNode, reason: str) -> None:
    """Close a process that another process replaces.

    The order matters if a worker dies here too: until the state is ``killed`` the child counts as
    not started, and afterwards as replaced.
    """
    node.base.extras.set(REPLACED, True)
    close(node, reason)


def close(node: ProcessNode, reason: str) -> None:
    """Close a process that must not run any more.

    The node is sealed: a worker that has its task nevertheless cannot write to it and stops.
    """
    node.set_process_status(reason)
    node.set_process_state(ProcessState.KILLED)
    node.delete_checkpoint()
    node.seal()
