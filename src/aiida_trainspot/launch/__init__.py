"""From a campaign file to a running campaign, and to a stopped one."""
