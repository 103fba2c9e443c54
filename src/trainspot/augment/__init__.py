"""Data augmentation: from a few structures to a diverse set; one strategy, one file.

``plan.augment`` runs a list of strategies. A strategy is a pydantic model with ``generate``,
registered in the entry-point group ``trainspot.augmentation``; see ``base.Strategy``.
"""
