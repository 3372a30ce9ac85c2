"""The supernet of the search and the final networks that it finds, built of Keras layers."""
