"""Where tables are: the interface, both engines, the queries in GoogleSQL."""
