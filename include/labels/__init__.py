"""How label events arrive, and are accepted or refused by name."""
