"""Contract tests of the seams, for our own implementations and for those of third parties."""
