"""COCO's instance annotations as labels of the 21 VOC classes, to train on before VOC 2012."""

import collections
import dataclasses
import functools
import json
import math
import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from auto_deeplab.data.conversion.label_table import LabelTable
from auto_deeplab.data.conversion.pairs import Pair
from auto_deeplab.data.conversion.plan import Conversion, plan_splits
from auto_deeplab.data.datasets.voc2012 import CLASSES, IGNORE, PALETTE
from auto_deeplab.data.image_files import BadInput
from auto_deeplab.foundations.errors import UserError

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
        file: The annotation file.
        image_id: The image's id in it.
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        annotations: Those of the VOC classes: "id", "category_id", "iscrowd", "segmentation".
        train_ids: Category id -> train id.
    """

    file: Path
    image_id: int | str
    height: int
    width: int
    annotations: Sequence[Mapping[str, Any]]
    train_ids: Mapping[int, int]

    def read(self, image_size: tuple[int, int] | None) -> np.ndarray:
        """Returns the annotations as train ids; see `LabelSource.read`."""
        if image_size not in (None, (self.height, self.width)):
            raise BadInput(
                f"image {_brief(self.image_id)}: received {self.width}x{self.height}; expected "
                f"the size of its file, {image_size[1]}x{image_size[0]}"
            )
        # Without an image nothing bounds the size that the file tells: nothing is drawn.
        label = np.zeros((self.height, self.width) if image_size else (1, 1), np.uint8)
        for annotation in sorted(self.annotations, key=lambda annotation: annotation["iscrowd"]):
            outline = self._outline(annotation)
            if not image_size:
                continue
            mask = outline.mask(self.height, self.width)
            if annotation["iscrowd"]:
                label[mask & (label == 0)] = IGNORE
            else:
                train_id = self.train_ids[annotation["category_id"]]
                other = mask & (label != 0) & (label != train_id)
                label[mask] = train_id
                label[other] = IGNORE
        return label

    def facts(self) -> list:
        """Returns the kind of label and the image's id."""
        return ["COCO", self.image_id]

    def _outline(self, annotation: Mapping[str, Any]) -> "_Polygons | _RunLengths":
        """Checks the outline of an annotation, which may hold anything that JSON can."""
        segmentation = annotation["segmentation"]
        try:
            if isinstance(segmentation, list):
                return _Polygons.checked(segmentation, self.height, self.width)
            if isinstance(segmentation, dict):
                return _RunLengths.checked(segmentation, self.height, self.width)
            raise BadInput(f": received {_brief(segmentation)}; expected polygons or run lengths")
        except BadInput as error:
            raise BadInput(
                f"image {_brief(self.image_id)}: annotation {_brief(annotation['id'])}: "
                f"segmentation{error}"
            ) from error


@dataclasses.dataclass(frozen=True)
class _Polygons:
    """The outline of an object's parts.

    Args:
        polygons: For each at least three points: x, y, x, y, ...
    """

    polygons: Sequence[Sequence[float]]

    @classmethod
    def checked(cls, segmentation: Sequence[Any], height: int, width: int) -> "_Polygons":
        """Takes a list of polygons; those of fewer than three points have no area and are skipped.

        pycocotools walks along each edge: a point far away takes all memory, or its process.
        """
        if not segmentation:
            raise BadInput(": received no polygon; expected at least one")
        # As much as the longer side, beyond each border.
        margin = max(height, width)
        polygons = []
        for index, polygon in enumerate(segmentation):
            if not isinstance(polygon, list) or not all(map(_is_number, polygon)):
                raise BadInput(f": polygon {index}: received {_brief(polygon)}; expected numbers")
            if len(polygon) % 2:
                raise BadInput(
                    f": polygon {index}: received {len(polygon)} numbers; expected pairs of x, y"
                )
            for coordinate, name, side in zip(
                polygon, "xy" * (len(polygon) // 2), (width, height) * (len(polygon) // 2),
                strict=True,
            ):  # fmt: skip
                if not -margin <= coordinate <= side + margin:
                    raise BadInput(
                        f": polygon {index}: received {name} = {_brief(coordinate)}; expected "
                        f"{-margin} to {side + margin}, near the image"
                    )
            if not _is_degenerate(polygon):
                polygons.append([float(coordinate) for coordinate in polygon])
        return cls(polygons)

    def mask(self, height: int, width: int) -> np.ndarray:
        """Returns bool [height, width], the pixels inside."""
        from pycocotools import mask as coco_mask

        if not self.polygons:
            return np.zeros((height, width), bool)
        parts = coco_mask.frPyObjects(self.polygons, height, width)
        return coco_mask.decode(coco_mask.merge(parts)).astype(bool)


@dataclasses.dataclass(frozen=True)
class _RunLengths:
    """An object's pixels, column by column.

    Args:
        counts: The lengths of runs of pixels outside and inside in turn, together as many as the
            image has.
    """

    counts: Sequence[int]

    @classmethod
    def checked(cls, segmentation: Mapping[str, Any], height: int, width: int) -> "_RunLengths":
        """Takes `{"size": [height, width], "counts": list or compressed text}`.

        pycocotools reads behind the end of its memory where the lengths are too short.
        """
        counts, size = segmentation.get("counts"), segmentation.get("size")
        if isinstance(counts, str):
            counts = _decompressed(counts)
        if not isinstance(counts, list):
            raise BadInput(f": 'counts': received {_brief(counts)}; expected run lengths")
        if size != [height, width]:
            raise BadInput(f": 'size': received {_brief(size)}; expected {[height, width]}")
        for count in counts:
            if not _is_number(count) or count != count // 1 or count < 0:
                raise BadInput(
                    f": 'counts': received {_brief(count)}; expected whole numbers from 0"
                )
        if sum(counts) != height * width:
            raise BadInput(
                f": 'counts': received run lengths of {_brief(sum(counts))} pixels together; "
                f"expected {height * width}"
            )
        return cls([int(count) for count in counts])

    def mask(self, height: int, width: int) -> np.ndarray:
        """Returns bool [height, width], the pixels inside."""
        inside = np.arange(len(self.counts)) % 2 == 1
        return np.repeat(inside, self.counts).reshape(width, height).T


def _decompressed(text: str) -> list[int]:
    """Returns the run lengths of pycocotools' text.

    A character holds five bits of a number, lowest first, and whether more follow. From the fourth
    on, a number is the difference to the one before the last.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise BadInput(f": 'counts': received {_brief(text)}; expected compressed run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise BadInput(
            f": 'counts': received {_brief(text)}, which ends within a number; expected compressed "
            "run lengths"
        )
    return counts


def _is_number(value: Any) -> bool:
    """Whether a value of JSON is a finite number that float64 can hold."""
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value)


def _is_degenerate(polygon: Any) -> bool:
    """Whether a polygon has fewer than three points."""
    return isinstance(polygon, list) and len(polygon) < 6


def _brief(value: Any) -> str:
    """Returns a value of JSON for a message, not the whole of a long one."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def coco_conversion(
    root: str | os.PathLike,
    splits: Sequence[str] = ("train", "val"),
    year: int = 2017,
    min_area: int = 1000,
) -> Conversion:
    """Plans the conversion of COCO's instances to VOC's classes.

    Args:
        root: The folder that holds `annotations`, `train2017` and `val2017`.
        splits: Of "train" and "val".
        year: 2017 or 2014.
        min_area: Images whose objects of these classes have no larger area, in pixels and without
            crowds, are left out.

    Raises:
        UserError: An annotation file is missing or is none.
    """
    notes: list[str] = []
    plan = plan_splits(
        splits, lambda split: _split_pairs(Path(root), f"{split}{year}", min_area, notes)
    )
    return Conversion(
        name="coco_voc",
        **plan,
        notes=notes,
        labels=LabelTable({**{index: index for index in range(len(CLASSES))}, IGNORE: IGNORE}),
        classes=CLASSES,
        palette=PALETTE,
        ignore_label=IGNORE,
        source=f"COCO {year}, instances as VOC classes: https://cocodataset.org",
    )


class _NotUsable(Exception):
    """A field of an image or of an annotation that cannot be used; the message tells which."""


@dataclasses.dataclass(frozen=True)
class _Instances:
    """The content of an annotation file.

    Args:
        images: The objects of the images, whatever they hold.
        annotations: The objects of the annotations of each image id.
        categories: name -> id.
    """

    images: Sequence[Mapping[str, Any]]
    annotations: Mapping[Any, Sequence[Mapping[str, Any]]]
    categories: Mapping[str, Any]

    @classmethod
    def read(cls, file: Path) -> "_Instances":
        """Reads an annotation file.

        Raises:
            UserError: It cannot be read, or is none.
        """
        try:
            content = json.loads(file.read_text(encoding="utf-8-sig"))
            images, annotations, categories = (
                content[field] for field in ("images", "annotations", "categories")
            )
            for field in ("images", "annotations", "categories"):
                elements = content[field]
                if not isinstance(elements, list) or not all(isinstance(e, dict) for e in elements):
                    raise ValueError(f"{field}: expected a list of objects")
            names = {category["name"]: _identity(category, "id") for category in categories}
            of_image = collections.defaultdict(list)
            for number, annotation in enumerate(annotations):
                try:
                    of_image[_identity(annotation, "image_id")].append(annotation)
                except _NotUsable as error:
                    raise ValueError(f"annotations: element {number}: no usable {error}") from error
        except (OSError, ValueError, KeyError, TypeError, RecursionError, _NotUsable) as error:
            raise UserError(
                f"{file}: not a file of COCO instances ({error!r}); expected one in the form of "
                "instances_train2017.json"
            ) from error
        return cls(images, of_image, names)


def _identity(element: Mapping[str, Any], field: str) -> int | str:
    """Returns an id, which is a whole number or, as some tools write it, a text."""
    value = _field(element, field)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int | str) or isinstance(value, bool):
        raise _NotUsable(f"{field!r}: received {_brief(value)}; expected a number")
    return value


def _whole_number(element: Mapping[str, Any], field: str) -> int:
    value = _field(element, field)
    if not _is_number(value) or value != value // 1 or value < 1:
        raise _NotUsable(f"{field!r}: received {_brief(value)}; expected a whole number from 1")
    return int(value)


def _field(element: Mapping[str, Any], field: str) -> Any:
    if field not in element:
        raise _NotUsable(repr(field))
    return element[field]


def _file_name(image: Mapping[str, Any]) -> str:
    """Returns the name of an image's file, which must be inside of the images' folder."""
    name = _field(image, "file_name")
    try:
        usable = isinstance(name, str) and name.encode() and "\0" not in name
    except UnicodeEncodeError:
        usable = False
    if not usable or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise _NotUsable(f"'file_name': received {_brief(name)}; expected a file in the folder")
    return name


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _annotation(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of an annotation that are used, with numbers that are some."""
    try:
        area = _field(annotation, "area")
        if not _is_number(area):
            raise _NotUsable(f"'area': received {_brief(area)}; expected a number")
        # The official tools take what marks no crowd for an object.
        crowd = annotation.get("iscrowd") or 0
        if crowd not in (0, 1):
            raise _NotUsable(f"'iscrowd': received {_brief(crowd)}; expected 0 or 1")
        return {
            "id": _identity(annotation, "id"),
            "category_id": _identity(annotation, "category_id"),
            "iscrowd": int(crowd),
            "area": area,
            "segmentation": _field(annotation, "segmentation"),
        }
    except _NotUsable as error:
        raise _NotUsable(f"{error} of annotation {_brief(annotation.get('id'))}") from error


def _split_pairs(
    root: Path, split: str, min_area: int, notes: list[str]
) -> tuple[list[Pair], list[str]]:
    file = root / "annotations" / f"instances_{split}.json"
    folder = root / split
    for path, found in ((file, file.is_file()), (folder, folder.is_dir())):
        if not found:
            raise UserError(
                f"{path}: does not exist; expected annotations/instances_{split}.json and {split}/ "
                f"in {root}"
            )
    instances = _Instances.read(file)
    unknown = sorted(TRAIN_IDS.keys() - instances.categories.keys())
    if unknown:
        raise UserError(
            f"{file}: categories: received none called {', '.join(unknown)}; expected those of COCO"
        )
    train_ids = {instances.categories[name]: train_id for name, train_id in TRAIN_IDS.items()}

    @functools.cache
    def composed_names() -> dict[str, Path]:
        return {_composed(path.relative_to(folder).as_posix()): path for path in folder.rglob("*")}

    def path_of(name: str) -> Path:
        """Finds a file whose name may have been written with other characters for its accents."""
        path = folder / name
        if name.isascii() or path.exists():
            return path
        return composed_names().get(_composed(name), path)

    pairs, problems, names = [], [], set()
    degenerate: list[int | str] = []  # Annotations.
    usable: dict[int | str, Mapping[str, Any]] = {}
    for number, image in enumerate(instances.images):
        try:
            image_id = _identity(image, "id")
        except _NotUsable as error:
            problems.append(f"{file}: images: element {number}: no usable field {error}")
            continue
        if image_id in usable:
            problems.append(f"{file}: image {_brief(image_id)}: is there more than once")
        usable[image_id] = image
    # Some tools number images, others name them.
    for image_id in sorted(usable, key=lambda found: (isinstance(found, str), found)):
        image = usable[image_id]
        try:
            annotations = [
                annotation
                for annotation in map(_annotation, instances.annotations.get(image_id, ()))
                if annotation["category_id"] in train_ids
            ]
            name = _file_name(image)
            height, width = (_whole_number(image, field) for field in ("height", "width"))
        except _NotUsable as error:
            problems.append(f"{file}: image {_brief(image_id)}: no usable field {error}")
            continue
        # Pixels, without crowds.
        if sum(a.pop("area") * (not a["iscrowd"]) for a in annotations) <= min_area:
            continue
        if name in names:
            problems.append(f"{file}: image {_brief(image_id)}: {name} is another image's file too")
            continue
        names.add(name)
        for annotation in annotations:
            if isinstance(outline := annotation["segmentation"], list):
                degenerate += [annotation["id"]] * sum(map(_is_degenerate, outline))
        label = CocoLabel(file, image_id, height, width, annotations, train_ids)
        pairs.append(Pair(path_of(name), label, name))
    if not pairs and not problems:
        problems.append(f"{file}: no image has objects of the VOC classes larger than {min_area}")
    if degenerate:
        count = "1 polygon" if len(degenerate) == 1 else f"{len(degenerate)} polygons"
        shown = ", ".join(_brief(number) for number in dict.fromkeys(degenerate[:5]))
        notes.append(
            f"{file}: {count} of fewer than 3 points, skipped: of annotation {shown}"
            + ", ..." * (len(degenerate) > 5)
        )
    return pairs, problems
