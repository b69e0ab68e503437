"""A design to rows: what is computed, once, and how."""
