"""Kills a daemon worker with -9 at chosen moments, each once; imported when a worker starts.

The folder that the variable ``SABOTAGE`` names holds one empty file a moment: ``stored-LABEL`` (a
child of this process label is in the database, and nothing else), ``unqueued-LABEL`` (its
checkpoint as well), ``queued-LABEL`` (its task has just been sent), ``deciding-NAME`` (a
calcfunction of this name has begun). ``lost-LABEL`` does not kill: the task of such a child is not
sent, as when the daemon is stopped at that moment. A moment that has come is removed.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from aiida.engine.processes.functions import FunctionProcess
from aiida.engine.runners import Runner
from aiida.orm import load_node
from plumpy.process_comms import RemoteProcessThreadController

MOMENTS = Path(os.environ["SABOTAGE"])


def has_come(moment: str) -> bool:
    try:
        (MOMENTS / moment).unlink()
    except FileNotFoundError:
        return False
    return True


def strike(moment: str) -> None:
    if has_come(moment):
        os.kill(os.getpid(), signal.SIGKILL)


def sabotage() -> None:
    instantiate, submit = Runner.instantiate_process, RemoteProcessThreadController.continue_process
    decide = FunctionProcess.run

    def instantiate_process(self, *args, **kwargs):
        process = instantiate(self, *args, **kwargs)
        strike(f"stored-{process.node.process_label}")
        return process

    def continue_process(self, pid, *args, **kwargs):
        label = load_node(pid).process_label
        strike(f"unqueued-{label}")
        if has_come(f"lost-{label}"):
            return None
        result = submit(self, pid, *args, **kwargs)
        strike(f"queued-{label}")
        return result

    async def run(self):
        strike(f"deciding-{self.node.process_label}")
        return await decide(self)

    Runner.instantiate_process = instantiate_process
    RemoteProcessThreadController.continue_process = continue_process
    FunctionProcess.run = run
