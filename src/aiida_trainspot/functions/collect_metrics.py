"""Calcfunction that puts the metrics of a committee into one node."""

from __future__ import annotations

from aiida.engine import calcfunction
from aiida.orm import Dict


@calcfunction
def collect_metrics(**members: Dict) -> Dict:
    """``{"member_0": metrics, …}``."""
    return Dict({name: node.get_dict() for name, node in sorted(members.items())})
