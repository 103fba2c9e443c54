"""The folder a user takes away: models, dataset, calibration and a card that explains them."""
