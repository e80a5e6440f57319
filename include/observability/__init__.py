"""The loop as monitors and catalogues see it: metrics, lineage, and what asset events carry."""
