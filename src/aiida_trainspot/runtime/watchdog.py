"""A process beside the workers that looks after campaigns at all times (decision 0041).

The supervisor of AiiDA's daemon starts and ends this process, like the workers and the broker; see
``aiida_trainspot.runtime.daemon.watch_over``.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Final

INTERVAL: Final = 30.0
"""Seconds between two checks of the campaigns of a profile."""

_LOGGER = logging.getLogger("aiida.trainspot.watchdog")


def main(name: str, interval: float = INTERVAL) -> None:
    """Look after the campaigns of a profile until the supervisor ends.

    Between two checks no connection to the database or the broker is open.
    """
    supervisor = os.getppid()
    while os.getppid() == supervisor:
        time.sleep(interval)
        look_once(name)


def look_once(name: str) -> None:
    """Check the campaigns once; a service that does not answer is tried again at the next check."""
    from aiida.common.exceptions import AiidaException
    from aiida.common.log import configure_logging
    from aiida.engine.daemon.client import DaemonClient
    from aiida.manage import get_manager
    from sqlalchemy.exc import SQLAlchemyError

    from aiida_trainspot.runtime.profile import open_campaigns

    manager = get_manager()
    try:
        profile = manager.load_profile(name)
        log = DaemonClient(profile).daemon_log_file
        configure_logging(with_orm=False, daemon=True, daemon_log_file=log)
        from aiida_trainspot.runtime.upkeep import look_after

        for line in look_after(open_campaigns()):
            _LOGGER.warning(line)
    except (AiidaException, SQLAlchemyError, OSError) as error:
        _LOGGER.warning("the campaigns were not checked this time: %s", error)
    finally:
        manager.reset_profile()


if __name__ == "__main__":
    main(sys.argv[1])
