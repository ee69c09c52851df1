"""Objects at work: gates, instances, alarms, and the shards that are led here."""
