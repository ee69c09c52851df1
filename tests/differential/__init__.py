"""The same scripts for objects of Cloudflare's runtime and for ours, compared."""
