"""Evaluating a committee on many frames."""
