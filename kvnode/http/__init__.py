"""
What a node answers over HTTP/1.1: its objects, for who has no gRPC.

    server      connections, and bodies that come in
    admission   how many of them there may be
    handler     a request to its answer, whatever goes wrong
    paths       raw paths and queries, decoded once
    routes      what a path is about
    calls       methods and fetches of objects
    maps        the built-in class Storage, key by key
    answers     results and errors in JSON
"""
