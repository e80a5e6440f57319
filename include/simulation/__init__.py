"""A video platform with known truth, on which policies, thresholds and failures can be tried."""
