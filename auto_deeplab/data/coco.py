"""COCO's instance annotations as labels of the 21 VOC classes, to train on before VOC 2012."""

import contextlib
import dataclasses
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from auto_deeplab.data.conversion import Conversion, plan_splits
from auto_deeplab.data.image_files import BadInput
from auto_deeplab.data.label_table import LabelTable
from auto_deeplab.data.pairs import Pair
from auto_deeplab.data.voc2012 import CLASSES, IGNORE, PALETTE
from auto_deeplab.errors import UserError

# The VOC classes that COCO calls otherwise.
_COCO_NAMES = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}
# COCO's category name -> train id.
TRAIN_IDS: dict[str, int] = {
    _COCO_NAMES.get(name, name): index for index, name in enumerate(CLASSES) if index > 0
}


@dataclasses.dataclass(frozen=True)
class CocoLabel:
    """The labels of one image, drawn from its annotations.

    Where objects of two classes overlap, and in regions that mark a crowd as a whole, the labels
    are ignored: there the annotations do not tell the class of a pixel.

    Args:
      file: the annotation file.
      image_id: the image's number in it.
      height: of the image, in pixels.
      width: of the image, in pixels.
      annotations: those of the VOC classes, as the file has them, without what is not used.
      train_ids: category id -> train id.
    """

    file: Path
    image_id: int
    height: int
    width: int
    annotations: Sequence[Mapping[str, Any]]
    train_ids: Mapping[int, int]

    def read(self, image_size: tuple[int, int] | None) -> np.ndarray:
        if image_size not in (None, (self.height, self.width)):
            raise BadInput(
                f"image {self.image_id} is {self.width}x{self.height} there, but its file is "
                f"{image_size[1]}x{image_size[0]}"
            )
        label = np.zeros((self.height, self.width), np.uint8)
        for annotation in self.annotations:
            if not annotation["iscrowd"]:
                train_id = self.train_ids[annotation["category_id"]]
                mask = self._mask(annotation)
                other = mask & (label != 0) & (label != train_id)
                label[mask] = train_id
                label[other] = IGNORE
        for annotation in self.annotations:
            if annotation["iscrowd"]:
                label[self._mask(annotation) & (label == 0)] = IGNORE
        return label

    def facts(self) -> list:
        return ["COCO", self.image_id]

    def _mask(self, annotation: Mapping[str, Any]) -> np.ndarray:
        """Returns bool [height, width], the pixels of an annotation."""
        from pycocotools import mask as coco_mask

        outline = annotation["segmentation"]
        try:
            if isinstance(outline, list):  # Polygons.
                outline = coco_mask.merge(coco_mask.frPyObjects(outline, self.height, self.width))
            elif isinstance(outline["counts"], list):  # Run lengths, not compressed.
                outline = coco_mask.frPyObjects(outline, self.height, self.width)
            mask = coco_mask.decode(outline).astype(bool)
        except Exception as error:  # Of pycocotools, for what is neither: KeyError, TypeError, ...
            raise BadInput(
                f"image {self.image_id}: annotation {annotation['id']}: segmentation: {error}"
            ) from error
        if mask.shape != (self.height, self.width):
            raise BadInput(
                f"image {self.image_id}: annotation {annotation['id']}: segmentation of size "
                f"{list(mask.shape)}, expected {[self.height, self.width]}"
            )
        return mask


def coco_conversion(
    root: str | os.PathLike,
    splits: Sequence[str] = ("train", "val"),
    year: int = 2017,
    min_area: int = 1000,
) -> Conversion:
    """Plans the conversion of COCO's instances to VOC's classes.

    Args:
      root: the folder that holds `annotations`, `train2017` and `val2017`.
      splits: of "train" and "val".
      year: 2017 or 2014.
      min_area: images whose objects of these classes have no larger area, in pixels and without
        crowds, are left out.

    Raises:
      UserError: an annotation file is missing or is none.
    """
    return Conversion(
        name="coco_voc",
        **plan_splits(splits, lambda split: _split_pairs(Path(root), f"{split}{year}", min_area)),
        labels=LabelTable({**{index: index for index in range(len(CLASSES))}, IGNORE: IGNORE}),
        classes=CLASSES,
        palette=PALETTE,
        ignore_label=IGNORE,
        source=f"COCO {year}, instances as VOC classes: https://cocodataset.org",
    )


def _split_pairs(root: Path, split: str, min_area: int) -> tuple[list[Pair], list[str]]:
    from pycocotools.coco import COCO

    file = root / "annotations" / f"instances_{split}.json"
    folder = root / split
    for path, found in ((file, file.is_file()), (folder, folder.is_dir())):
        if not found:
            raise UserError(
                f"{path} does not exist: expected annotations/instances_{split}.json and {split}/ "
                f"in {root}"
            )
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # It reports its progress.
            coco = COCO(str(file))
        categories = {category["name"]: category["id"] for category in coco.dataset["categories"]}
        images = [coco.imgs[image_id] for image_id in sorted(coco.imgs)]
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise UserError(f"{file}: not a file of COCO instances: {error!r}") from error
    unknown = sorted(TRAIN_IDS.keys() - categories.keys())
    if unknown:
        raise UserError(f"{file}: categories: missing {', '.join(unknown)}")
    train_ids = {categories[name]: train_id for name, train_id in TRAIN_IDS.items()}
    pairs, problems, names = [], [], set()
    for image in images:
        try:
            annotations = [
                {key: annotation[key] for key in ("id", "category_id", "iscrowd", "segmentation")}
                for annotation in coco.imgToAnns.get(image["id"], ())
                if annotation["category_id"] in train_ids
            ]
            area = sum(
                annotation["area"]
                for annotation in coco.imgToAnns.get(image["id"], ())
                if annotation["category_id"] in train_ids and not annotation["iscrowd"]
            )
            name, height, width = image["file_name"], int(image["height"]), int(image["width"])
        except (KeyError, TypeError, ValueError) as error:
            problems.append(f"{file}: image {image['id']}: no usable field {error}")
            continue
        if area <= min_area:
            continue
        if name in names:
            problems.append(f"{file}: image {image['id']}: {name} is another image's file too")
            continue
        names.add(name)
        label = CocoLabel(file, image["id"], height, width, annotations, train_ids)
        pairs.append(Pair(folder / name, label, name))
    if not pairs and not problems:
        problems.append(f"{file}: no image has objects of the VOC classes larger than {min_area}")
    return pairs, problems
