"""The strongly consistent objects: what runs in them, and what runs them."""
