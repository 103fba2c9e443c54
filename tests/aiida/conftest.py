"""Fixtures of the tests that need an AiiDA profile (a temporary one, made for the run)."""

from __future__ import annotations

from aiida.tools.pytest_fixtures import *  # noqa: F403  (pytest finds fixtures by name)
