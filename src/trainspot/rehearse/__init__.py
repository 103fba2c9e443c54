"""Rehearsals: the whole campaign with a cheap reference in place of DFT, against two baselines.

``arms`` makes the campaigns that are compared, ``oracle`` stands in for DFT, ``trial`` runs one
campaign, ``outcome`` and ``statistics`` say what came out, ``page`` draws it.
"""
