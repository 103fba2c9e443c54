"""What a committee predicts, how much its members disagree, and the error bars that follow."""
