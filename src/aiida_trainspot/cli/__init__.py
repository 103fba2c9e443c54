"""Cli of the shell."""
