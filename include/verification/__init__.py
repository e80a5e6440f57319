"""`make verify-ledger`: whether the ledger, what is served and what was drawn are what Plumbline wrote."""
