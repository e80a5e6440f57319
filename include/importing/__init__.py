"""Other people's scores and votes, brought into the landing folder from a pair of files, and tried."""
