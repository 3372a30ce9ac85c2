"""TensorFlow as the search runs it."""

from tests.trainings import plain_graphs

__all__ = ["plain_graphs"]
