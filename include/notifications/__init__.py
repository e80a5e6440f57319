"""Who is told of what: events found in the tables, each told once."""
