"""Fixtures of the tests that need an AiiDA profile (a temporary one, made for the run)."""

from __future__ import annotations

pytest_plugins = ["aiida.tools.pytest_fixtures"]
