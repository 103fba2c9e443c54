"""The AiiDA shell of trainspot: provenance, restart and remote computers around the science."""
