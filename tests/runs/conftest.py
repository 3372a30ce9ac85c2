"""The folders of runs that the tests look at."""

from tests.run_folders import make_search, make_training

__all__ = ["make_search", "make_training"]
