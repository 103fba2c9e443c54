"""What a campaign has shown so far: its data, the verdict, and the tables of both."""
