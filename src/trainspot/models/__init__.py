"""Trained models: the contract of a potential, its kinds, committees and their calculators."""
