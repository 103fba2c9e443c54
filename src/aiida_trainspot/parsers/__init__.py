"""Parsers of the shell."""
