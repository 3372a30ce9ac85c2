"""Cityscapes: its label table, class names, colors and directory layout.

The table is the official one of `cityscapesscripts/helpers/labels.py`.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from auto_deeplab.data.conversion.label_table import LabelTable
from auto_deeplab.data.conversion.pairs import Pair, pair_by_stem
from auto_deeplab.data.conversion.plan import Conversion, plan_splits
from auto_deeplab.data.description import Color
from auto_deeplab.foundations.errors import UserError, argument, near_matches

IGNORE = 255
IMAGE_SUFFIX = "_leftImg8bit.png"
LABEL_SUFFIX = "_labelIds.png"
# The two kinds of annotation, as the folders and files are called.
FINE, COARSE = "gtFine", "gtCoarse"
# The splits to train with.
SPLITS = {FINE: ("train", "val"), COARSE: ("train", "train_extra")}


class Label(NamedTuple):
    """A label: its name, its value in labelIds files, its train id and its color."""

    name: str
    label_id: int
    train_id: int
    color: Color


LABELS: tuple[Label, ...] = (
    Label("unlabeled", 0, IGNORE, (0, 0, 0)),
    Label("ego vehicle", 1, IGNORE, (0, 0, 0)),
    Label("rectification border", 2, IGNORE, (0, 0, 0)),
    Label("out of roi", 3, IGNORE, (0, 0, 0)),
    Label("static", 4, IGNORE, (0, 0, 0)),
    Label("dynamic", 5, IGNORE, (111, 74, 0)),
    Label("ground", 6, IGNORE, (81, 0, 81)),
    Label("road", 7, 0, (128, 64, 128)),
    Label("sidewalk", 8, 1, (244, 35, 232)),
    Label("parking", 9, IGNORE, (250, 170, 160)),
    Label("rail track", 10, IGNORE, (230, 150, 140)),
    Label("building", 11, 2, (70, 70, 70)),
    Label("wall", 12, 3, (102, 102, 156)),
    Label("fence", 13, 4, (190, 153, 153)),
    Label("guard rail", 14, IGNORE, (180, 165, 180)),
    Label("bridge", 15, IGNORE, (150, 100, 100)),
    Label("tunnel", 16, IGNORE, (150, 120, 90)),
    Label("pole", 17, 5, (153, 153, 153)),
    Label("polegroup", 18, IGNORE, (153, 153, 153)),
    Label("traffic light", 19, 6, (250, 170, 30)),
    Label("traffic sign", 20, 7, (220, 220, 0)),
    Label("vegetation", 21, 8, (107, 142, 35)),
    Label("terrain", 22, 9, (152, 251, 152)),
    Label("sky", 23, 10, (70, 130, 180)),
    Label("person", 24, 11, (220, 20, 60)),
    Label("rider", 25, 12, (255, 0, 0)),
    Label("car", 26, 13, (0, 0, 142)),
    Label("truck", 27, 14, (0, 0, 70)),
    Label("bus", 28, 15, (0, 60, 100)),
    Label("caravan", 29, IGNORE, (0, 0, 90)),
    Label("trailer", 30, IGNORE, (0, 0, 110)),
    Label("train", 31, 16, (0, 80, 100)),
    Label("motorcycle", 32, 17, (0, 0, 230)),
    Label("bicycle", 33, 18, (119, 11, 32)),
)

# The 19 classes that are trained and evaluated, in the order of their train ids.
TRAIN_LABELS: tuple[Label, ...] = tuple(
    sorted(
        (label for label in LABELS if label.train_id != IGNORE), key=lambda label: label.train_id
    )
)
CLASSES: tuple[str, ...] = tuple(label.name for label in TRAIN_LABELS)
PALETTE: tuple[Color, ...] = tuple(label.color for label in TRAIN_LABELS)
TRAIN_IDS: dict[int, int] = {label.label_id: label.train_id for label in LABELS}
LABEL_IDS: dict[str, int] = {label.name: label.label_id for label in LABELS}


def split_pairs(
    root: str | os.PathLike, split: str, annotation: str = FINE
) -> tuple[list[Pair], list[str]]:
    """Pairs `leftImg8bit/SPLIT/CITY/*_leftImg8bit.png` with `gtFine/SPLIT/CITY/*_labelIds.png`.

    Args:
        root: The folder that holds `leftImg8bit` and `gtFine` or `gtCoarse`.
        split: Such as "train".
        annotation: "gtFine" or "gtCoarse".

    Returns:
        The pairs, ordered by city and name, and the problems found: files without partner.

    Raises:
        UserError: The layout or the split is missing.
    """
    folders = [Path(root) / part for part in ("leftImg8bit", annotation)]
    for folder in folders:
        if not folder.is_dir():
            raise UserError(
                f"{folder}: does not exist; expected the Cityscapes layout, "
                f"leftImg8bit/SPLIT/CITY/ and {annotation}/SPLIT/CITY/, in {root}"
            )
        if not (folder / split).is_dir():
            known = sorted(path.name for path in folder.iterdir() if path.is_dir())
            raise UserError(
                f"{argument('splits')}: received {split!r}, which {folder} has not"
                f"{near_matches(split, known)}"
            )
    images, labels = (folder / split for folder in folders)
    return pair_by_stem(images, labels, [IMAGE_SUFFIX], [f"_{annotation}{LABEL_SUFFIX}"])


def image_path(root: str | os.PathLike, split: str, city: str, stem: str) -> Path:
    """Returns where the layout keeps the image `stem`, such as "ulm_000000_000019"."""
    return Path(root) / "leftImg8bit" / split / city / (stem + IMAGE_SUFFIX)


def label_path(
    root: str | os.PathLike, split: str, city: str, stem: str, annotation: str = FINE
) -> Path:
    """Returns where the layout keeps the labels of the image `stem`."""
    return Path(root) / annotation / split / city / f"{stem}_{annotation}{LABEL_SUFFIX}"


def cityscapes_conversion(
    root: str | os.PathLike,
    splits: Sequence[str] = ("train", "val"),
    annotation: str = FINE,
    name: str | None = None,
    source: str | None = None,
) -> Conversion:
    """Plans the conversion of a folder in the Cityscapes layout.

    Args:
        root: The folder that holds `leftImg8bit` and `gtFine` or `gtCoarse`.
        splits: The splits to convert.
        annotation: "gtFine" or "gtCoarse".
        name: The dataset's name; by default that of the annotation.
        source: Where the images come from; by default the official site.

    Raises:
        UserError: Folders of the layout are missing.
    """
    return Conversion(
        name=name or {FINE: "cityscapes", COARSE: "cityscapes_coarse"}[annotation],
        **plan_splits(splits, lambda split: split_pairs(root, split, annotation)),
        labels=LabelTable(TRAIN_IDS),
        classes=CLASSES,
        palette=PALETTE,
        ignore_label=IGNORE,
        source=source or f"Cityscapes, {annotation}: https://www.cityscapes-dataset.com",
    )
