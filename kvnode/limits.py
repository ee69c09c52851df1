"""
Every limit a caller can meet, with where the number comes from.

Cloudflare KV's numbers hold wherever it has one, so that what works there works
here: https://developers.cloudflare.com/kv/platform/limits/
"""

KEY_BYTES_MAX = 512  # Cloudflare KV
VALUE_BYTES_MAX = 25 * 1024 * 1024  # Cloudflare KV
METADATA_BYTES_MAX = 1024  # Cloudflare KV
LIST_PAGE_MAX = 1000  # Cloudflare KV
BATCH_STEPS_MAX = 10_000  # Cloudflare KV's bulk write
BATCH_BYTES_MAX = 100 * 1000 * 1000  # Cloudflare KV's bulk write
NAMESPACE_CHARS_MAX = 64
SET_MEMBER_BYTES_MAX = 512  # a member is a key of its own kind
DOCUMENT_BYTES_MAX = VALUE_BYTES_MAX  # a document travels as one value
COUNTER_ABS_MAX = 2**62  # a sum of two still fits a signed 64-bit integer

FRAME_OPERATIONS_MAX = 10_000  # one batch's worth
FRAME_BYTES_MAX = BATCH_BYTES_MAX + 8 * 1024 * 1024  # a full batch and its envelope
SESSION_BYTES_MAX = 16 * 1024  # 256 replicas of 18 bytes, three times over
SESSION_AHEAD_MILLIS_MAX = 24 * 3600 * 1000  # no clock is that wrong by itself
KEY_CLOCK_ENTRIES_MAX = 64  # R3: pruning can only report a conflict that was none
DEPENDENCIES_MAX = 256  # replicas; more than a full region has members
CONFLICTS_PER_KEY_MAX = 4  # R4
CONFLICT_AGE_MILLIS_MAX = 24 * 3600 * 1000  # R4
INLINE_VALUE_BYTES_MAX = 64 * 1024  # D6: above, announce and let it be pulled
CLOCK_BEND_MILLIS_MAX = 10 * 365 * 24 * 3600 * 1000  # ten years: for tests only
CLOCK_BEND_PPM_MAX = 1_000_000  # a clock that stands still, or goes twice as fast
KEEPALIVE_MILLIS = 10_000  # pings on a quiet connection; servers must allow half of it
KEEPALIVE_TIMEOUT_MILLIS = 5000  # no pong for so long: the connection is dead

STREAM_CALLS_MAX = 1000
"""Calls of objects that the library has under way on one stream without gRPC."""

STREAM_BYTES_MAX = 32 * 1024 * 1024
"""The same, of what they are given; past twice that a node reads no more."""

CALLER_DEAD_MILLIS = 60_000
"""A client that takes in nothing for so long is dead to its node, and the other way."""

HTTP_LINE_BYTES_MAX = 16 * 1024
"""A request's line: the longest name and key with each byte as %XX, and a path."""

HTTP_HEADER_BYTES_MAX = 8 * 1024  # one header; what other servers take
HTTP_HEADERS_MAX = 128  # of a request or a response; what other servers take
HTTP_CONNECTIONS_MAX = 512  # half of the files that a process may open by default
HTTP_REQUESTS_MAX = 256  # under way; the other connections are idle ones of pools
HTTP_BODIES_BYTES_MAX = 64 * 1024 * 1024  # of requests under way: 64 of the largest
HTTP_BODY_MILLIS_MAX = 30_000  # for 1 MiB to come in, or nothing of it to be read
HTTP_IDLE_MILLIS_MAX = 75_000  # proxies drop connections after a minute: be later
