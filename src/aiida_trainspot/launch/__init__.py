"""From a campaign file to a running campaign, and stopping a campaign."""
