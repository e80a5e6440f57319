"""Every table once, and the loop's vocabulary: cell, grid of thresholds, change."""
