"""Whether published changes keep their promise."""
