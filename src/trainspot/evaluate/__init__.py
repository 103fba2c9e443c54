"""What a committee predicts, and how much its members disagree."""
