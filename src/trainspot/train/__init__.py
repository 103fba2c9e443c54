"""Training a committee of potentials: one file for each trainer, registered by entry point."""
