"""Pair potentials by ridge regression, as a trainer for trainspot."""
