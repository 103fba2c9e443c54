"""Reports: the page of a campaign, of a dataset and of a map, and the exported folder."""
