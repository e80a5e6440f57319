"""What Dag files share: assets, the day, forms, and how a step is run."""
