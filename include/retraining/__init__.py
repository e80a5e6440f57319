"""When a model is to be retrained, what is handed over, and whether the new one is taken."""
