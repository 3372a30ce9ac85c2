"""TensorFlow as the search runs it."""

import pytest
import tensorflow as tf


@pytest.fixture(autouse=True, scope="session")
def plain_graphs():
    """The graph optimizer takes longer on these graphs than everything else together."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
