"""Files that others wrote: which are read, and how each value is read as the contract's or refused by name."""
