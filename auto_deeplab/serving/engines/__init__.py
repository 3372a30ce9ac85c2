"""Running exported networks: one module an engine, each with one function to load."""
