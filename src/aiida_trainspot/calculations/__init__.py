"""Calculations of the shell."""
