"""The day's queue into a review tool and its answers back, by the tool's own API."""
