"""Exploration: molecular dynamics with one member, from the initial frames to new ones.

``schedule`` decides what is run; the engines (group ``trainspot.explore``) run it; ``frames`` cuts
what they leave into frames of known origin.
"""
