"""
Requests and responses of HTTP as classes for Cloudflare's Python Workers know them.

There they are JavaScript's, with Python's names: a body is awaited and can be read
once, headers are those of http.client.  Here each is made of one of kvnode.fetching, or
becomes one: `received` and `taken` of both classes are all that knows both.

References:
    The Fetch Standard, WHATWG: 2.2.2 headers, 5.2 bodies, 5.4 requests, 5.5 responses.
"""
