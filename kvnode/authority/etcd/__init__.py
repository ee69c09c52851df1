"""The authority that is kept in etcd, for those who run one anyway."""
