"""Many accounts in one go: batches."""
