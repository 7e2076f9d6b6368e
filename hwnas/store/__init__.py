"""What a run keeps: finished stages by content, append-only journals, and the digest of the code that made them."""
