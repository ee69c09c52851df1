"""
Classes that were written for Cloudflare's Python Workers, served as our own.

    class Counter(workers.DurableObject)   the user's, with Cloudflare's names
         ▲ ctx, env            │ methods
    context, storage, sql, bindings,       Cloudflare's names for ours
    fetching
         ▲                     ▼
    class Counter(DurableObject)           what a node runs: hosted_object

Nothing is done here that kvnode.objects does not do: names are mapped, options read,
and what a promise would be is done at once.  What is there, and what differs, is in
docs/workers.md; why it is so in decision 28.
"""
