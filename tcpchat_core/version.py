"""The version of the whole distribution, and its day, in one place."""

VERSION = "0.2.0"

# When this version came, or is to come: it stands in the manual.
RELEASED = "2026-11-29"
