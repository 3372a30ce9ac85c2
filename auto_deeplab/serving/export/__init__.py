"""Writing a trained network for use outside of training, in each format."""
