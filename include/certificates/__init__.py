"""Whether a threshold keeps a goal, from labels drawn with known probabilities; pure."""
