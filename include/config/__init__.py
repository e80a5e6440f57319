"""What is decided and where things are: validated once, typed."""
