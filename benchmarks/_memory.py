"""Iterate a stored ``PESData`` in this fresh process and print by how many MiB memory grew at most.

Usage: python _memory.py UUID, with AIIDA_PATH set
"""

from __future__ import annotations

import gc
import resource
import sys
from pathlib import Path

_MIB = 2.0**20
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def iterate(uuid: str) -> float:
    """Growth of the peak resident memory (MiB) while all frames are read once."""
    from aiida import load_profile
    from aiida.orm import load_node

    load_profile("benchmark")
    node = load_node(uuid)
    node.column("energy")  # what is imported or allocated once belongs to no frame
    gc.collect()
    before = _reset_peak()
    atoms = sum(len(frame) for frame in node)
    assert atoms == node.base.attributes.get("n_atoms")
    return (_peak() - before) / _MIB


def _reset_peak() -> float:
    """Forget the peak so far where the system can (Linux); returns bytes resident now."""
    try:
        _CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return _peak()
    return _field("VmRSS")


def _peak() -> float:
    if _STATUS.exists():
        return _field("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def _field(name: str) -> float:
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return float(line.split()[1]) * 1024.0
    raise RuntimeError(f"{_STATUS} has no {name}")


if __name__ == "__main__":
    print(iterate(sys.argv[1]))
