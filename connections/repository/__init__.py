"""Every query. Each function runs in the caller's transaction and takes its time from the database's clock."""
