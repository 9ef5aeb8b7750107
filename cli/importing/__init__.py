"""`connector import`: a file of accounts to a running service, and a file of what became of them."""
