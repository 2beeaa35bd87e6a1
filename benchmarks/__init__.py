"""`make bench`: the worker beside nginx and an ordinary app, on the same streams."""
