"""The census of a dataset: ``take_census`` counts; ``page`` and ``terminal`` show the counts."""
