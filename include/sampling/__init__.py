"""Which videos are reviewed, and with what probability."""
