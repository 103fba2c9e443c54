"""What a campaign did, read from its nodes."""
