"""Labelling: one stage, any engine."""
