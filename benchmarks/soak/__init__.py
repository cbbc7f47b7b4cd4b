"""A server under load for hours: whether it loses anything, and whether it grows."""
