"""What a cluster costs as it grows: bytes on disk, messages, time."""
