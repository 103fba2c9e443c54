"""Exploration: one stage, any engine."""
