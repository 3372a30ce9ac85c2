"""The confusion matrix of a segmentation, and the figures that come from it."""

import numpy as np


class ConfusionMatrix:
    """Counts how often each label was predicted as each class, over any number of images.

    Counts are int64: whole datasets of large images stay exact.

    Args:
      classes: the number of classes.
      ignore_label: the label of pixels that do not count.

    Attributes:
      counts: int64 [classes, classes]; row: label, column: prediction.
    """

    def __init__(self, classes: int, ignore_label: int = 255) -> None:
        if classes < 1:
            raise ValueError(f"classes: received {classes}; expected at least 1")
        self.classes = classes
        self.ignore_label = ignore_label
        self.counts = np.zeros((classes, classes), np.int64)

    def update(self, labels: np.ndarray, predictions: np.ndarray) -> None:
        """Adds the pixels of some images.

        Args:
          labels: integers of any shape, class indices or the ignore label.
          predictions: class indices, of the same shape.

        Raises:
          ValueError: the shapes differ, or a label or a prediction is out of range.
        """
        labels, predictions = np.asarray(labels), np.asarray(predictions)
        if labels.shape != predictions.shape:
            raise ValueError(
                f"labels have shape {labels.shape}, predictions {predictions.shape}: expected equal"
            )
        counted = labels != self.ignore_label
        labels = labels[counted].astype(np.int64)
        predictions = predictions[counted].astype(np.int64)
        for name, values in (("labels", labels), ("predictions", predictions)):
            if values.size and not 0 <= values.min() <= values.max() < self.classes:
                raise ValueError(
                    f"{name}: received values from {values.min()} to {values.max()}; "
                    f"expected 0 to {self.classes - 1}"
                )
        pairs = np.bincount(labels * self.classes + predictions, minlength=self.classes**2)
        self.counts += pairs.reshape(self.classes, self.classes)

    @property
    def label_pixels(self) -> np.ndarray:
        """Pixels labeled as each class, int64 [classes]."""
        return self.counts.sum(axis=1)

    @property
    def predicted_pixels(self) -> np.ndarray:
        """Pixels predicted as each class, int64 [classes]."""
        return self.counts.sum(axis=0)

    @property
    def class_iou(self) -> np.ndarray:
        """Intersection over union of each class, float64 [classes].

        NaN for a class that neither labels nor predictions hold.
        """
        intersection = np.diag(self.counts).astype(np.float64)
        union = self.label_pixels + self.predicted_pixels - intersection
        return np.divide(intersection, union, out=np.full(self.classes, np.nan), where=union > 0)

    @property
    def mean_iou(self) -> float:
        """The mean of `class_iou` over the classes that have one; NaN if none has."""
        present = self.class_iou[~np.isnan(self.class_iou)]
        return float(present.mean()) if present.size else float("nan")

    @property
    def pixel_accuracy(self) -> float:
        """The share of pixels that are predicted as they are labeled; NaN without pixels."""
        total = int(self.counts.sum())
        return float(np.trace(self.counts) / total) if total else float("nan")
