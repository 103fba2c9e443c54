"""The exported folder: models, dataset, calibration and a card that explains the files."""
