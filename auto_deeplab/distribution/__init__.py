"""Replicas and workers: what trains and evaluates together, and what they tell each other."""
