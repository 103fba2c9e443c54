"""Training a committee of potentials: one trainer a file, found by entry point."""
