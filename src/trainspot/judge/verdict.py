"""The verdict on a campaign after each exploration: go on, audit, or stop.

``verdict`` follows an exploration, ``conclude`` a final audit::

    explore ─ verdict ─┬ continue ─────────────── label, train, explore again
                       ├ audit ─ label ─ conclude ┬ converged
                       │                          ├ continue
                       ├ converged (no audit)     └ exhausted
                       ├ exhausted
                       ├ pool_exhausted
                       └ no_valid_exploration
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from trainspot.judge.pairs import Pairs
from trainspot.judge.settings import StopSettings, Tolerance


class State(StrEnum):
    """The next step of a campaign."""

    CONTINUE = "continue"
    """Label the selected frames, train, explore again."""
    AUDIT = "audit"
    """The committee agrees everywhere: label the final audit batch, then ``conclude``."""
    CONVERGED = "converged"
    """Stop: the committee meets the tolerances, as far as the campaign checked it."""
    EXHAUSTED = "exhausted"
    """Stop: that was the last iteration."""
    POOL_EXHAUSTED = "pool_exhausted"
    """Stop: the pool has no other frame to judge."""
    NO_VALID_EXPLORATION = "no_valid_exploration"
    """An error: the exploration left no new frame to judge."""


def verdict(
    *,
    explored: int,
    valid: int,
    flagged: int,
    fitted: bool,
    iteration: int,
    settings: StopSettings,
    novel: int = 0,
    expected: float = 0.0,
    is_rest: bool = False,
) -> State:
    """The next step after an exploration.

    An exploration is quiet if the flagged share is within ``converged_share`` and enough frames
    are valid. Among frames that resemble the validation frames, a share of 1 - ``select.novelty``
    is novel by definition; only a larger share is not quiet. The final audit checks the other
    frames. Without a fitted threshold, an audit must confirm a quiet exploration.

    Args:
        explored: Frames explored, each id once.
        valid: Frames that passed the screen and are not in the dataset yet.
        flagged: Valid frames whose disagreement is beyond a threshold.
        fitted: Whether the thresholds were calibrated.
        iteration: Number of this iteration; the first is 1.
        settings: The stopping rules.
        novel: Number of novel valid frames.
        expected: Share of novel frames in an exploration without new structures.
        is_rest: Whether the explorer has no other frame, such as one that draws from a pool.
    """
    if valid == 0:
        return State.POOL_EXHAUSTED if is_rest else State.NO_VALID_EXPLORATION
    few_novel = novel <= max(settings.converged_share, expected) * valid
    few_flagged = flagged <= settings.converged_share * valid
    quiet = few_flagged and few_novel and valid >= settings.min_valid * explored
    if quiet and settings.final_audit and flagged < valid:
        return State.AUDIT
    if quiet and fitted and not settings.final_audit:
        return State.CONVERGED
    return State.EXHAUSTED if iteration >= settings.max_iterations else State.CONTINUE


def conclude(
    pairs: Pairs, tolerance: Tolerance, *, iteration: int, settings: StopSettings
) -> State:
    """The next step after a final audit whose frames are labelled.

    A miss is an unflagged frame whose error exceeds the tolerance in any property. An audit
    without labels confirms nothing.

    Args:
        pairs: Pairs of the audit frames, from the committee that did not flag them.
        tolerance: ε of each property.
        iteration: Number of this iteration; the first is 1.
        settings: The stopping rules.
    """
    if len(pairs) and misses(pairs, tolerance) <= settings.miss_rate * len(pairs):
        return State.CONVERGED
    return State.EXHAUSTED if iteration >= settings.max_iterations else State.CONTINUE


def misses(pairs: Pairs, tolerance: Tolerance) -> int:
    """Number of frames whose error exceeds the tolerance in any property."""
    wrong = np.zeros(len(pairs), dtype=np.bool_)
    for name, epsilon in tolerance.given.items():
        wrong |= np.nan_to_num(pairs.error[name], nan=0.0) > epsilon
    return int(wrong.sum())
