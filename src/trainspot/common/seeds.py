"""The source of all random numbers: one campaign seed, and a name for every use of it.

``generator(seed, "augment", "rattle", frame_id)`` is the same stream on every machine and does
not depend on earlier draws, so a single stage can be repeated.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np


def derive_seed(seed: int, *keys: str | int) -> int:
    """A seed for one named use, in [0, 2**63), independent of every other name.

    Args:
        seed: The campaign's seed.
        keys: The purpose of the seed, from general to particular.
    """
    # JSON separates the keys, and 1 from "1"; a numpy integer counts as a plain integer.
    plain = [str(key) if isinstance(key, str) else int(key) for key in keys]
    text = json.dumps([int(seed), *plain])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *keys: str | int) -> np.random.Generator:
    """A PCG64 generator for one named use; see ``derive_seed``."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, *keys)))
