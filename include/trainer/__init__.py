"""A training system as an example: what it takes to answer a hand-over with a new model version."""
