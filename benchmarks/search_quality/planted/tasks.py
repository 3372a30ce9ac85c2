"""The planted tasks: how images and labels are drawn, and what must win over what.

All images are black and white squares, drawn by coin flips, with some noise; the labels follow from
the squares by a rule. So nothing can be known of a label but what the rule reads, and a network
that cannot read it is right as often as a coin. Each rule is out of reach of what every network
has: a position of the stem sees about 5 pixels to each side, and the decoder 8 more; the rates of
ASPP at stride 4 lie outside of these images, and its image pooling does not tell where.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.data.example import EncodedExample
from auto_deeplab.data.image_files import encode_png
from auto_deeplab.data.schema import serialize_example, shard_name
from auto_deeplab.search_space import Branch, Genotype

IGNORE_LABEL = 255
_DARK, _BRIGHT, _NOISE = 64, 192, 16

Rule = Callable[[np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class PlantedTask:
    """A dataset whose answer is known.

    Args:
        name: Of the task.
        answer: What must win, for people.
        size: (height, width) of the images.
        square: The side of the squares, in pixels.
        rule: Maps the bits of an image's pixels, bool [height, width], to labels, uint8 of the same
            shape: 0, 1, or `IGNORE_LABEL` where the rule reads outside of the image.
        right: A network that can follow the rule.
        wrong: One that differs from it in what the task is about, and cannot.
    """

    name: str
    answer: str
    size: tuple[int, int]
    square: int
    rule: Rule
    right: Genotype
    wrong: Genotype

    def draw(self, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Returns an image, uint8 [height, width, 3], and its labels, uint8 [height, width]."""
        height, width = self.size
        # A position of stride s stands at a multiple of s: it is in the middle of a square.
        middle = self.square // 2
        counts = [(length + middle) // self.square + 1 for length in self.size]
        bits = np.kron(generator.random(counts) < 0.5, np.ones((self.square, self.square), bool))
        bits = bits[middle : middle + height, middle : middle + width]
        gray = np.where(bits, _BRIGHT, _DARK)[..., None] + generator.normal(
            0, _NOISE, (height, width, 3)
        )
        return np.clip(gray, 0, 255).astype(np.uint8), self.rule(bits)

    def write(self, folder: Path, train: int = 96, val: int = 24, seed: int = 0) -> Path:
        """Writes the dataset, unless it is there; returns its folder.

        Args:
            folder: Made if it is not there.
            train: How many images to train on.
            val: How many to validate on.
            seed: Of the drawing.
        """
        if (folder / "dataset.json").exists():
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(seed)
        splits = {"train": train, "val": val}
        for split, count in splits.items():
            with tf.io.TFRecordWriter(str(folder / shard_name(split, 0, 1))) as writer:
                for number in range(count):
                    image, label = self.draw(generator)
                    name = f"{split}_{number}.png"
                    example = EncodedExample(
                        name, encode_png(image), "png", encode_png(label), *label.shape
                    )
                    writer.write(serialize_example(example))
        DatasetDescription(
            self.name,
            splits,
            ("dark", "bright"),
            ((0, 0, 0), (255, 255, 255)),
            IGNORE_LABEL,
            f"planted: {self.answer}",
        ).save(folder)
        return folder


def displaced(pixels: int) -> Rule:
    """Returns the rule that a pixel has the label of what is so many pixels to its left."""

    def rule(bits: np.ndarray) -> np.ndarray:
        labels = np.full(bits.shape, IGNORE_LABEL, np.uint8)
        labels[:, pixels:] = bits[:, :-pixels]
        return labels

    return rule


def vote(pixels: int) -> Rule:
    """Returns the rule that a pixel has the label of two of what is left, right and above of it.

    Args:
        pixels: How far away.
    """

    def rule(bits: np.ndarray) -> np.ndarray:
        votes = np.zeros(bits.shape, int)
        votes[:, pixels:] += bits[:, :-pixels]
        votes[:, :-pixels] += bits[:, pixels:]
        votes[pixels:] += bits[:-pixels]
        labels = np.full(bits.shape, IGNORE_LABEL, np.uint8)
        inside = (slice(pixels, None), slice(pixels, -pixels))
        labels[inside] = votes[inside] >= 2
        return labels

    return rule


def _network(name: str, path: tuple[int, ...], op: str) -> Genotype:
    """A path with one operation everywhere: a cell of one block, so that its reach is plain."""
    return Genotype(name, path, ((Branch("prev_prev", op), Branch("prev", op)),))


# Three cells at stride 4 of these reach 48, 24 and 0 pixels to each side.
_ATROUS, _SEPARABLE, _SKIP = "atrous_conv_5x5", "sep_conv_3x3", "skip"

TASKS = {
    task.name: task
    for task in (
        PlantedTask(
            "fine_detail",
            "stride 4: labels are as fine as 4 pixels, and only cells bring them 16 pixels far",
            size=(65, 65),
            square=4,
            rule=displaced(16),
            right=_network("stride_4", (4, 4, 4), _ATROUS),
            wrong=_network("stride_32", (8, 16, 32), _ATROUS),
        ),
        PlantedTask(
            "far_cue",
            "atrous convolutions, larger kernels or more depth: the cue is 40 pixels away",
            size=(33, 97),
            square=8,
            rule=displaced(40),
            right=_network("atrous", (4, 4, 4), _ATROUS),
            wrong=_network("near", (4, 4, 4), _SEPARABLE),
        ),
        PlantedTask(
            "no_skip",
            "anything that looks around: what is 20 pixels to the left, right and above has a vote "
            "each, and a skip looks nowhere",
            size=(65, 65),
            square=8,
            rule=vote(20),
            right=_network("atrous", (4, 4, 4), _ATROUS),
            wrong=_network("skips", (4, 4, 4), _SKIP),
        ),
    )
}
