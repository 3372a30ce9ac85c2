"""Procedurally drawn street scenes with the Cityscapes labels. Imports no TensorFlow."""
