"""Data nodes of the shell."""
