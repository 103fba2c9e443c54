"""All exit codes of the shell, with one number and label in all processes that declare them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from aiida.engine import ExitCode

if TYPE_CHECKING:
    from aiida.engine.processes.process_spec import ProcessSpec


class Exit(NamedTuple):
    """One exit code.

    Attributes:
        status: The number users see in ``verdi process list``.
        label: Attribute of ``self.exit_codes`` in the processes that declare it.
        message: One clause; ``because`` appends the reason in this case.
        invalidates_cache: Whether AiiDA must not reuse a calculation with this exit code.
    """

    status: int
    label: str
    message: str
    invalidates_cache: bool = False

    def because(self, detail: str = "") -> ExitCode:
        """The AiiDA exit code, with the reason in this case in its message."""
        message = f"{self.message}: {detail}" if detail else self.message
        return ExitCode(self.status, message, invalidates_cache=self.invalidates_cache)


NO_FRAMES = Exit(200, "ERROR_NO_FRAMES", "the dataset has no usable frames")
NO_LABELLED_FRAMES = Exit(201, "ERROR_NO_LABELLED_FRAMES", "the dataset has no labelled frames")
MISSING_PSEUDOPOTENTIALS = Exit(
    202, "ERROR_MISSING_PSEUDOPOTENTIALS", "the pseudopotential family lacks an element"
)
COMMITTEE_TOO_SMALL = Exit(
    203, "ERROR_COMMITTEE_TOO_SMALL", "a committee needs at least two members"
)

OUTPUT_MISSING = Exit(303, "ERROR_OUTPUT_MISSING", "an output file is missing", True)
OUTPUT_UNREADABLE = Exit(304, "ERROR_OUTPUT_UNREADABLE", "an output file cannot be read", True)
TRAINING_DIVERGED = Exit(305, "ERROR_TRAINING_DIVERGED", "the training diverged", True)
NON_FINITE = Exit(306, "ERROR_NON_FINITE", "a model predicted non-finite values", True)

OUT_OF_WALLTIME = Exit(400, "ERROR_OUT_OF_WALLTIME", "the job ran out of walltime", True)
# Resources are not hashed: a job on a larger node would get this failure from the cache.
OUT_OF_MEMORY = Exit(405, "ERROR_OUT_OF_MEMORY", "the job ran out of memory", True)
KILLED = Exit(406, "ERROR_KILLED", "the job was killed for an unknown reason", True)

TOO_MANY_FAILED_LABELS = Exit(
    410, "ERROR_TOO_MANY_FAILED_LABELS", "too many frames could not be labelled"
)
NO_VALID_EXPLORATION = Exit(
    411, "ERROR_NO_VALID_EXPLORATION", "no explored frame passed the screen"
)
MAX_ITERATIONS = Exit(420, "ERROR_MAX_ITERATIONS", "not converged after the last iteration")
BUDGET_SPENT = Exit(421, "ERROR_BUDGET_SPENT", "the budget is spent")
POOL_EXHAUSTED = Exit(422, "ERROR_POOL_EXHAUSTED", "no frame of the pool is left")

SUB_PROCESS_FAILED_AUGMENT = Exit(
    450, "ERROR_SUB_PROCESS_FAILED_AUGMENT", "the augmentation failed"
)
SUB_PROCESS_FAILED_LABEL = Exit(451, "ERROR_SUB_PROCESS_FAILED_LABEL", "the labelling failed")
SUB_PROCESS_FAILED_TRAIN = Exit(452, "ERROR_SUB_PROCESS_FAILED_TRAIN", "a training failed")
SUB_PROCESS_FAILED_EXPLORE = Exit(453, "ERROR_SUB_PROCESS_FAILED_EXPLORE", "the exploration failed")
SUB_PROCESS_FAILED_EVALUATE = Exit(
    454, "ERROR_SUB_PROCESS_FAILED_EVALUATE", "the evaluation failed"
)


def declare(spec: ProcessSpec, *exits: Exit) -> None:
    """Declare exit codes in the ``define`` of a process."""
    for code in exits:
        spec.exit_code(
            code.status, code.label, code.message, invalidates_cache=code.invalidates_cache
        )
