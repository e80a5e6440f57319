"""What removal achieves, with intervals."""
