"""Which thresholds are in force, since when, and the only way to change them."""
