"""The confusion matrix of a segmentation, and the figures that come from it."""

import numpy as np


class ConfusionMatrix:
    """Counts how often each label was predicted as each class, over any number of images.

    Counts are int64: whole datasets of large images stay exact.

    Args:
        classes: The number of classes.
        ignore_label: The label of pixels that do not count.

    Attributes:
        counts: int64 [classes, classes]; row: label, column: prediction.

    Example:
        >>> matrix = ConfusionMatrix(classes=2, ignore_label=255)
        >>> matrix.update(np.array([[0, 1, 1, 255]]), np.array([[0, 1, 0, 0]]))
        >>> matrix.counts
        array([[1, 0],
               [1, 1]])
        >>> matrix.mean_iou
        0.5
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
            labels: Integers of any shape, class indices or the ignore label.
            predictions: Class indices, of the same shape.

        Raises:
            ValueError: The shapes differ, or a label or a prediction is out of range.
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
        intersection = np.diag(self.counts)
        return _quotient(intersection, self.label_pixels + self.predicted_pixels - intersection)

    @property
    def class_accuracy(self) -> np.ndarray:
        """The share of each class's pixels that are predicted as it, float64 [classes].

        NaN for a class that no pixel is labeled as.
        """
        return _quotient(np.diag(self.counts), self.label_pixels)

    @property
    def mean_iou(self) -> float:
        """The mean of `class_iou` over the classes that have one; NaN if none has.

        So a class without labels counts, as 0, once it is predicted where pixels count, and not
        otherwise: the rule of Cityscapes' and PASCAL VOC's own evaluation.
        """
        return _mean(self.class_iou)

    @property
    def pixel_accuracy(self) -> float:
        """The share of pixels that are predicted as they are labeled; NaN without pixels."""
        total = int(self.counts.sum())
        return float(np.trace(self.counts) / total) if total else float("nan")

    @property
    def mean_of_iou_and_accuracy(self) -> float:
        """The mean of `mean_iou` and `pixel_accuracy`, by which ADE20K ranks."""
        return (self.mean_iou + self.pixel_accuracy) / 2

    @property
    def mean_class_accuracy(self) -> float:
        """The mean of `class_accuracy` over the labeled classes; NaN if there are none."""
        return _mean(self.class_accuracy)

    @property
    def frequency_weighted_iou(self) -> float:
        """The mean of `class_iou`, each weighted by its share of the labels; NaN without pixels."""
        total = int(self.counts.sum())
        # A class without labels has the weight 0, whether it has an IOU or not.
        weighted = self.label_pixels * np.nan_to_num(self.class_iou)
        return float(weighted.sum() / total) if total else float("nan")


def _quotient(dividend: np.ndarray, divisor: np.ndarray) -> np.ndarray:
    return np.divide(dividend, divisor, out=np.full(len(divisor), np.nan), where=divisor > 0)


def _mean(values: np.ndarray) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if present.size else float("nan")
