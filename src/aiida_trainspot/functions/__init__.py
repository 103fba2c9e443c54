"""Functions of the shell."""
