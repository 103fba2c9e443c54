"""Frames in a plane: the figure with its caption and counts, a page of its own, files."""
