"""Rehearsals: the whole campaign with a cheap reference instead of DFT, against two baselines.

``arms`` makes the campaigns to compare, ``oracle`` replaces DFT, ``trial`` runs one campaign,
``outcome`` and ``statistics`` compute the results, and ``page`` draws the results.
"""
