"""Looking at a dataset: ``take_census`` counts it, ``page`` and ``terminal`` show the counts."""
