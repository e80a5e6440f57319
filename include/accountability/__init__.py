"""A period's account, for regulators and scorecards."""
