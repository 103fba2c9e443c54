"""Labelling: energy, forces and stress of frames from a reference engine."""
