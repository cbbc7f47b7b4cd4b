"""The gevent runtime around the core."""
