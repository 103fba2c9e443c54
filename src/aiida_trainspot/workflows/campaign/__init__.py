"""The work chain of a whole campaign."""
