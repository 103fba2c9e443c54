"""Gathering the results of many calculations, in groups.

AiiDA compares each input of a calcfunction with all its other inputs. With a thousand results in
one call, each result takes three times as long as with fifty.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from aiida.orm import Int

from aiida_trainspot.functions.label import (
    FRAME_KEY,
    gather_parts,
    gather_pw,
    gathered_already,
    join,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiida.orm import Dict, TrajectoryData

    from aiida_trainspot.data.pes import PESData

    Run = Callable[..., Any]
    """Calls a calcfunction with a label, the function and its inputs; see ``decide_once``."""

MOST_INPUTS: Final = 50
"""Largest number of results or parts for one calcfunction."""


def directly(label: str, function: Callable[..., Any], **inputs: Any) -> Any:
    """A ``Run`` that stores nothing: calls the function inside a calcfunction."""
    del label
    return inspect.unwrap(function)(**inputs)


def gather_calculations(
    run: Run,
    label: str,
    dataset: PESData,
    settings: Dict,
    lost: Dict,
    trajectories: Mapping[str, TrajectoryData],
) -> dict[str, PESData]:
    """Labels and failures of frames from their pw.x calculations.

    Args:
        run: Calls a calcfunction.
        label: Label of the last call, with which the labels of the other calls begin.
        dataset: The frames.
        settings: See ``gather_pw``.
        lost: See ``gather_pw``.
        trajectories: Result of the frame in row N under the key ``frame_N``.
    """
    count = len(dataset)
    starts = range(0, max(1, count), MOST_INPUTS)
    parts: dict[str, PESData] = {}
    for start in starts:
        size = min(MOST_INPUTS, count - start)
        keys = [FRAME_KEY.format(row) for row in range(start, start + size)]
        gathered: dict[str, PESData] = run(
            label if len(starts) == 1 else f"{label}_from_{start}",
            gather_pw,
            dataset=dataset,
            settings=settings,
            lost=lost,
            start=Int(start),
            count=Int(size),
            **{key: trajectories[key] for key in keys if key in trajectories},
        )
        if len(starts) == 1:
            return gathered
        parts |= {f"{name}_{start}": node for name, node in gathered.items()}
    return gather_all(run, label, dataset, lost, parts)


def gather_all(
    run: Run, label: str, dataset: PESData, lost: Dict, parts: Mapping[str, PESData]
) -> dict[str, PESData]:
    """Labels and failures of all frames of a dataset from parts, see ``gather_parts``.

    If a single part already equals the result, its nodes are returned.

    Args:
        run: Calls a calcfunction.
        label: Label of the last call, with which the labels of the other calls begin.
        dataset: The frames of all parts.
        lost: Why frames are in no part; see ``gather_parts``.
        parts: Labelled and failed frames, under any names.
    """
    if (whole := gathered_already(dataset, parts)) is not None:
        return whole
    level = 0
    while len(parts) > MOST_INPUTS:
        level += 1
        names = sorted(parts)
        groups = [names[i : i + MOST_INPUTS] for i in range(0, len(names), MOST_INPUTS)]
        parts = {
            f"joined_{level}_{number}": run(
                f"{label}_{level}_{number}", join, **{name: parts[name] for name in group}
            )
            for number, group in enumerate(groups)
        }
    gathered: dict[str, PESData] = run(label, gather_parts, dataset=dataset, lost=lost, **parts)
    return gathered
