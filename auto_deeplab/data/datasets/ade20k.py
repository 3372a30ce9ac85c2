"""ADE20K's scene parsing benchmark: classes, colors, directory layout.

The names are the first ones of each line of the official `objectInfo150.txt`, the colors those of
`color150.mat`.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from auto_deeplab.data.conversion.label_table import LabelTable
from auto_deeplab.data.conversion.pairs import Pair, pair_by_stem
from auto_deeplab.data.conversion.plan import Conversion, plan_splits
from auto_deeplab.data.description import Color
from auto_deeplab.foundations.errors import UserError, argument, near_matches

IGNORE = 255
# The paper's size of training images, in pixels of the longer side.
LONGER_SIDE = 513
# The splits and their folders.
FOLDERS = {"train": "training", "val": "validation"}

# Class k is value k + 1 in the annotations, where 0 is whatever has none of these names.
_CLASSES: tuple[tuple[str, Color], ...] = (
    ("wall", (120, 120, 120)),
    ("building", (180, 120, 120)),
    ("sky", (6, 230, 230)),
    ("floor", (80, 50, 50)),
    ("tree", (4, 200, 3)),
    ("ceiling", (120, 120, 80)),
    ("road", (140, 140, 140)),
    ("bed", (204, 5, 255)),
    ("windowpane", (230, 230, 230)),
    ("grass", (4, 250, 7)),
    ("cabinet", (224, 5, 255)),
    ("sidewalk", (235, 255, 7)),
    ("person", (150, 5, 61)),
    ("earth", (120, 120, 70)),
    ("door", (8, 255, 51)),
    ("table", (255, 6, 82)),
    ("mountain", (143, 255, 140)),
    ("plant", (204, 255, 4)),
    ("curtain", (255, 51, 7)),
    ("chair", (204, 70, 3)),
    ("car", (0, 102, 200)),
    ("water", (61, 230, 250)),
    ("painting", (255, 6, 51)),
    ("sofa", (11, 102, 255)),
    ("shelf", (255, 7, 71)),
    ("house", (255, 9, 224)),
    ("sea", (9, 7, 230)),
    ("mirror", (220, 220, 220)),
    ("rug", (255, 9, 92)),
    ("field", (112, 9, 255)),
    ("armchair", (8, 255, 214)),
    ("seat", (7, 255, 224)),
    ("fence", (255, 184, 6)),
    ("desk", (10, 255, 71)),
    ("rock", (255, 41, 10)),
    ("wardrobe", (7, 255, 255)),
    ("lamp", (224, 255, 8)),
    ("bathtub", (102, 8, 255)),
    ("railing", (255, 61, 6)),
    ("cushion", (255, 194, 7)),
    ("base", (255, 122, 8)),
    ("box", (0, 255, 20)),
    ("column", (255, 8, 41)),
    ("signboard", (255, 5, 153)),
    ("chest of drawers", (6, 51, 255)),
    ("counter", (235, 12, 255)),
    ("sand", (160, 150, 20)),
    ("sink", (0, 163, 255)),
    ("skyscraper", (140, 140, 140)),
    ("fireplace", (250, 10, 15)),
    ("refrigerator", (20, 255, 0)),
    ("grandstand", (31, 255, 0)),
    ("path", (255, 31, 0)),
    ("stairs", (255, 224, 0)),
    ("runway", (153, 255, 0)),
    ("case", (0, 0, 255)),
    ("pool table", (255, 71, 0)),
    ("pillow", (0, 235, 255)),
    ("screen door", (0, 173, 255)),
    ("stairway", (31, 0, 255)),
    ("river", (11, 200, 200)),
    ("bridge", (255, 82, 0)),
    ("bookcase", (0, 255, 245)),
    ("blind", (0, 61, 255)),
    ("coffee table", (0, 255, 112)),
    ("toilet", (0, 255, 133)),
    ("flower", (255, 0, 0)),
    ("book", (255, 163, 0)),
    ("hill", (255, 102, 0)),
    ("bench", (194, 255, 0)),
    ("countertop", (0, 143, 255)),
    ("stove", (51, 255, 0)),
    ("palm", (0, 82, 255)),
    ("kitchen island", (0, 255, 41)),
    ("computer", (0, 255, 173)),
    ("swivel chair", (10, 0, 255)),
    ("boat", (173, 255, 0)),
    ("bar", (0, 255, 153)),
    ("arcade machine", (255, 92, 0)),
    ("hovel", (255, 0, 255)),
    ("bus", (255, 0, 245)),
    ("towel", (255, 0, 102)),
    ("light", (255, 173, 0)),
    ("truck", (255, 0, 20)),
    ("tower", (255, 184, 184)),
    ("chandelier", (0, 31, 255)),
    ("awning", (0, 255, 61)),
    ("streetlight", (0, 71, 255)),
    ("booth", (255, 0, 204)),
    ("television", (0, 255, 194)),
    ("airplane", (0, 255, 82)),
    ("dirt track", (0, 10, 255)),
    ("apparel", (0, 112, 255)),
    ("pole", (51, 0, 255)),
    ("land", (0, 194, 255)),
    ("bannister", (0, 122, 255)),
    ("escalator", (0, 255, 163)),
    ("ottoman", (255, 153, 0)),
    ("bottle", (0, 255, 10)),
    ("buffet", (255, 112, 0)),
    ("poster", (143, 255, 0)),
    ("stage", (82, 0, 255)),
    ("van", (163, 255, 0)),
    ("ship", (255, 235, 0)),
    ("fountain", (8, 184, 170)),
    ("conveyer belt", (133, 0, 255)),
    ("canopy", (0, 255, 92)),
    ("washer", (184, 0, 255)),
    ("plaything", (255, 0, 31)),
    ("swimming pool", (0, 184, 255)),
    ("stool", (0, 214, 255)),
    ("barrel", (255, 0, 112)),
    ("basket", (92, 255, 0)),
    ("waterfall", (0, 224, 255)),
    ("tent", (112, 224, 255)),
    ("bag", (70, 184, 160)),
    ("minibike", (163, 0, 255)),
    ("cradle", (153, 0, 255)),
    ("oven", (71, 255, 0)),
    ("ball", (255, 0, 163)),
    ("food", (255, 204, 0)),
    ("step", (255, 0, 143)),
    ("tank", (0, 255, 235)),
    ("trade name", (133, 255, 0)),
    ("microwave", (255, 0, 235)),
    ("pot", (245, 0, 255)),
    ("animal", (255, 0, 122)),
    ("bicycle", (255, 245, 0)),
    ("lake", (10, 190, 212)),
    ("dishwasher", (214, 255, 0)),
    ("screen", (0, 204, 255)),
    ("blanket", (20, 0, 255)),
    ("sculpture", (255, 255, 0)),
    ("hood", (0, 153, 255)),
    ("sconce", (0, 41, 255)),
    ("vase", (0, 255, 204)),
    ("traffic light", (41, 0, 255)),
    ("tray", (41, 255, 0)),
    ("ashcan", (173, 0, 255)),
    ("fan", (0, 245, 255)),
    ("pier", (71, 0, 255)),
    ("crt screen", (122, 0, 255)),
    ("plate", (0, 255, 184)),
    ("monitor", (0, 92, 255)),
    ("bulletin board", (184, 255, 0)),
    ("shower", (0, 133, 255)),
    ("radiator", (255, 214, 0)),
    ("glass", (25, 194, 194)),
    ("clock", (102, 255, 0)),
    ("flag", (92, 0, 255)),
)
CLASSES: tuple[str, ...] = tuple(name for name, _ in _CLASSES)
PALETTE: tuple[Color, ...] = tuple(color for _, color in _CLASSES)
TRAIN_IDS: dict[int, int] = {0: IGNORE, **{index + 1: index for index in range(len(CLASSES))}}


def ade20k_conversion(
    root: str | os.PathLike, splits: Sequence[str] = ("train", "val")
) -> Conversion:
    """Plans the conversion of the folder ADEChallengeData2016, with images of their own size.

    With a `longer_side`, training images are resized to it, smaller ones too (the paper's section
    5.2.3, and `min_resize_value` in DeepLab's code). Validation images keep their size, at which
    they are scored.

    Args:
        root: The folder that holds `images` and `annotations`, or the one above.
        splits: Of "train" and "val".

    Raises:
        UserError: Folders of the layout are missing.
    """
    root = Path(root)
    if (root / "ADEChallengeData2016").is_dir():
        root /= "ADEChallengeData2016"

    def pairs_of(split: str) -> tuple[list[Pair], list[str]]:
        if split not in FOLDERS:
            raise UserError(
                f"{argument('splits')}: received {split!r}{near_matches(split, FOLDERS)}"
            )
        images, labels = (root / part / FOLDERS[split] for part in ("images", "annotations"))
        for folder in (images, labels):
            if not folder.is_dir():
                raise UserError(
                    f"{folder}: does not exist; expected images/{FOLDERS[split]} and "
                    f"annotations/{FOLDERS[split]} in {root}"
                )
        pairs, problems = pair_by_stem(images, labels, [".jpg"], [".png"])
        keeps_size = split != "train"
        return [dataclasses.replace(pair, keeps_size=keeps_size) for pair in pairs], problems

    plan = plan_splits(splits, pairs_of)
    plan["problems"] += _name_problems(root / "objectInfo150.txt")
    return Conversion(
        name="ade20k",
        **plan,
        labels=LabelTable(TRAIN_IDS),
        classes=CLASSES,
        palette=PALETTE,
        ignore_label=IGNORE,
        enlarge=True,
        source="ADE20K, scene parsing: http://sceneparsing.csail.mit.edu",
    )


def _name_problems(path: Path) -> list[str]:
    """Returns how the class names of the data set's own list, if it is there, differ from ours."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()[1:]
    names = [line.split("\t")[-1].split(",")[0].strip() for line in lines if line.strip()]
    if len(names) != len(CLASSES):
        return [f"{path}: received {len(names)} classes; expected {len(CLASSES)}"]
    return [
        f"{path}: class {number}: received {theirs!r}; expected {ours!r}"
        for number, (ours, theirs) in enumerate(zip(CLASSES, names, strict=True), start=1)
        if ours != theirs
    ]
