"""The day on one page: a self-contained HTML file, built from frames alone."""
