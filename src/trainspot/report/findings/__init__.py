"""The findings of a campaign: data, verdict and tables."""
