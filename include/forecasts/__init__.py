"""What a change of thresholds would do, and what it did; pure."""
