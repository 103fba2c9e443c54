"""Frames and datasets of them, in memory and on disk."""
