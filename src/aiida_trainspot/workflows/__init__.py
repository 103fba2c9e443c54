"""Workflows of the shell."""
