"""The authority in etcd: failover, logins, settings, and what failures mean."""
