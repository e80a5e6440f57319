"""The ledger checked again: its chain, what is served, what was drawn, and how decisions were computed."""
