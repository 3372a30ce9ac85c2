"""The embedded dataset: procedurally drawn street scenes with the Cityscapes labels.

Importing it registers `@street_scenes` for gin files, and loads no TensorFlow.
"""

from auto_deeplab.data.street_scenes.dataset import street_scenes

__all__ = ["street_scenes"]
