"""Decision that puts the metrics of a committee into one node."""

from __future__ import annotations

from aiida.orm import Dict

from aiida_trainspot.functions.decision import decision


@decision
def collect_metrics(**members: Dict) -> Dict:
    """``{"member_0": metrics, …}``."""
    return Dict({name: node.get_dict() for name, node in sorted(members.items())})
