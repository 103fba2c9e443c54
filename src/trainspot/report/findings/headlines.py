"""The table of verdicts, by the ending of a campaign and the errors within the tolerance."""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal

Answer = Literal["yes", "open", "partly", "no", "unknown"]
"""``open``: all errors are within the tolerance, but what they hold for is not settled."""


class Ending(StrEnum):
    """How a campaign ended, or that the campaign still runs."""

    CONVERGED = "converged"
    ITERATIONS = "out of iterations"
    BUDGET = "out of budget"
    POOL = "out of frames"
    FAILED = "failed"
    STOPPED = "stopped"
    RUNNING = "running"
    BY_HAND = "made by hand"


class Within(StrEnum):
    """Which errors on test (else validation) frames are within the tolerance."""

    ALL = "all"
    SOME = "some"
    NONE = "none"
    NOT_STATED = "no tolerance"
    NOT_TESTED = "no test"


_ALL: Final = "Within the tolerance on the {which} frames"
_SOME: Final = "Within the tolerance for {good}, not for {bad}"
_NONE: Final = "Not within the tolerance"
_NOT_STATED: Final = "No verdict: there is no tolerance for the errors that were measured"
_BEFORE: Final = {
    Ending.ITERATIONS: "the campaign ran out of iterations before it converged",
    Ending.BUDGET: "the campaign spent its budget before it converged",
    Ending.POOL: "the pool ran out of frames before the campaign converged",
    Ending.FAILED: "the campaign failed before it converged",
    Ending.STOPPED: "the campaign was stopped before it converged",
}
_NOT_TESTED: Final = {
    Ending.CONVERGED: "No verdict: the campaign converged, but recorded no errors",
    Ending.ITERATIONS: "No verdict: the campaign ran out of iterations without a tested committee",
    Ending.BUDGET: "No verdict: the campaign spent its budget without a tested committee",
    Ending.POOL: "No verdict: the pool ran out of frames without a tested committee",
    Ending.FAILED: "No verdict: the campaign failed before a committee was tested",
    Ending.STOPPED: "No verdict: the campaign was stopped before a committee was tested",
    Ending.RUNNING: "Too early to say: no committee has been tested yet",
    Ending.BY_HAND: "No verdict: the committee was not tested",
}


def _headlines() -> dict[tuple[Ending, Within], tuple[Answer, str]]:
    """The table of verdicts: every ending with every state of the errors."""
    running = "the campaign is still running"
    table: dict[tuple[Ending, Within], tuple[Answer, str]] = {
        (Ending.CONVERGED, Within.ALL): ("yes", _ALL),
        (Ending.CONVERGED, Within.SOME): ("partly", _SOME),
        (Ending.CONVERGED, Within.NONE): ("no", f"{_NONE}, although exploration found nothing new"),
        (Ending.RUNNING, Within.ALL): ("open", f"{_ALL} so far; {running}"),
        (Ending.RUNNING, Within.SOME): ("partly", f"{_SOME} so far; {running}"),
        (Ending.RUNNING, Within.NONE): ("no", f"Not yet within the tolerance; {running}"),
        (Ending.BY_HAND, Within.ALL): ("open", f"{_ALL}; not tested by exploration"),
        (Ending.BY_HAND, Within.SOME): ("partly", _SOME),
        (Ending.BY_HAND, Within.NONE): ("no", _NONE),
    }
    for ending, words in _BEFORE.items():
        table[ending, Within.ALL] = ("open", f"{_ALL}, but {words}")
        table[ending, Within.SOME] = ("partly", f"{_SOME}; {words}")
        table[ending, Within.NONE] = ("no", f"{_NONE}; {words}")
    for ending in Ending:
        table[ending, Within.NOT_STATED] = ("unknown", _NOT_STATED)
        table[ending, Within.NOT_TESTED] = ("unknown", _NOT_TESTED[ending])
    return table


HEADLINES: Final = _headlines()
"""Ending and errors → answer and headline. ``{which}`` is test or validation, ``{good}`` and
``{bad}`` are properties."""

UNSURE: Final = "Within the tolerance on the {which} frames, but its error bars are uncertain"
"""Headline of a converged campaign with all errors within the tolerance whose calibration is weak;
the answer is ``open`` then."""
