"""What replication does for clients: on a usual day, after an outage, at a join."""
