"""Checkpoints: what is saved, how files are kept whole, and weights to begin with."""
