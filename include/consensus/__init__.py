"""What reviewers together said, and how good they are."""
