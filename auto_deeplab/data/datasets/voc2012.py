"""PASCAL VOC 2012: classes, colors, directory layout; SBD's annotations for train_aug."""

import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from auto_deeplab.data.conversion.label_table import LabelTable
from auto_deeplab.data.conversion.pairs import LabelFile, LabelSource, NoLabel, Pair
from auto_deeplab.data.conversion.plan import Conversion, plan_splits
from auto_deeplab.data.description import Color
from auto_deeplab.data.image_files import BadInput
from auto_deeplab.foundations.errors import UserError, argument, near_matches

IGNORE = 255
CLASSES: tuple[str, ...] = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip
SPLITS = ("train", "val", "trainval", "test")
AUGMENTED = "train_aug"
_SOURCE = "PASCAL VOC 2012: http://host.robots.ox.ac.uk/pascal/VOC/voc2012"
_SBD_SOURCE = "SBD: http://home.bharathh.info/pubs/codes/SBD"


def color_map(colors: int) -> tuple[Color, ...]:
    """Returns the first colors of the development kit's `VOClabelcolormap`.

    Bit 3i of the index is bit 7-i of red, bit 3i+1 of green and bit 3i+2 of blue.
    """

    def channel(index: int, shift: int) -> int:
        return sum((index >> (3 * i + shift) & 1) << (7 - i) for i in range(8))

    return tuple((channel(i, 0), channel(i, 1), channel(i, 2)) for i in range(colors))


PALETTE: tuple[Color, ...] = color_map(len(CLASSES))


@dataclasses.dataclass(frozen=True)
class SbdLabel:
    """Labels in a MATLAB file of SBD's folder `cls`: field `Segmentation` of the struct `GTcls`."""

    file: Path

    def read(self, image_size: tuple[int, int] | None) -> np.ndarray:
        """Returns the matrix `Segmentation`; see `LabelSource.read`."""
        del image_size
        import scipy.io

        try:
            content = scipy.io.loadmat(self.file, variable_names=["GTcls"], mat_dtype=False)
        except Exception as error:  # SciPy raises what its parsers meet: ValueError, zlib.error...
            raise BadInput(f"cannot be read as a MATLAB file: {error}") from error
        try:
            label = content["GTcls"]["Segmentation"][0, 0]
        except (KeyError, IndexError, ValueError) as error:
            received = ", ".join(name for name in content if not name.startswith("__"))
            raise BadInput(
                f"received the variables {received or 'none'}; expected a struct GTcls with the "
                "field Segmentation"
            ) from error
        if label.ndim != 2 or label.dtype != np.uint8:
            raise BadInput(
                f"GTcls.Segmentation: received {label.dtype} of the shape {list(label.shape)}; "
                "expected a uint8 matrix"
            )
        return np.ascontiguousarray(label)

    def facts(self) -> list:
        """Returns the kind of label; the file decides the rest."""
        return ["SBD"]


def voc2012_conversion(
    root: str | os.PathLike,
    splits: Sequence[str] | None = None,
    sbd: str | os.PathLike | None = None,
) -> Conversion:
    """Plans the conversion of VOC 2012's segmentation task.

    Labels are the PNG files' palette indices; 255, the objects' outlines, is ignored. Test images
    have no public labels: all their pixels are ignored.

    The split "train_aug" holds VOC's train and all of SBD but VOC's val. An image in both has VOC's
    labels, which are finer.

    Args:
        root: The folder `VOC2012`, or one that holds it or `VOCdevkit`.
        splits: Of "train", "val", "trainval", "test" and, with `sbd`, "train_aug"; by default "val"
            and "train", or "train_aug" with `sbd`.
        sbd: The folder of SBD that holds `cls`, or one above it.

    Raises:
        UserError: A split or a folder of the layout is missing.
    """
    voc = _Voc(_find(root, ["", "VOC2012", "VOCdevkit/VOC2012"], "JPEGImages"))
    boundaries = (
        _Sbd(_find(sbd, ["", "dataset", "benchmark_RELEASE/dataset"], "cls")) if sbd else None
    )
    known = SPLITS if sbd is None else (*SPLITS, AUGMENTED)

    def pairs_of(split: str) -> tuple[list[Pair], list[str]]:
        if split == AUGMENTED:
            if boundaries is None:
                raise UserError(
                    f"{argument('sbd')}: received nothing; expected the folder of SBD's "
                    f"annotations, which the split {AUGMENTED!r} needs"
                )
            return _augmented_pairs(voc, boundaries)
        if split not in known:
            raise UserError(f"{argument('splits')}: received {split!r}{near_matches(split, known)}")
        names, problems = voc.names(split)
        label_of = (lambda _: NoLabel(IGNORE)) if split == "test" else voc.label
        return _existing([Pair(voc.image(n), label_of(n), f"{n}.jpg") for n in names], problems)

    source = _SOURCE if sbd is None else f"{_SOURCE}; {_SBD_SOURCE}"
    plan = plan_splits(splits or ("train" if sbd is None else AUGMENTED, "val"), pairs_of)
    plan["problems"] += voc.problems() + (boundaries.problems() if boundaries else [])
    return Conversion(
        name="voc2012" if sbd is None else "voc2012_aug",
        **plan,
        labels=LabelTable({**{index: index for index in range(len(CLASSES))}, IGNORE: IGNORE}),
        classes=CLASSES,
        palette=PALETTE,
        ignore_label=IGNORE,
        source=source,
    )


class _Voc:
    """The folder VOC2012."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def image(self, name: str) -> Path:
        return self._root / "JPEGImages" / f"{name}.jpg"

    def label(self, name: str) -> LabelFile:
        return LabelFile(self._root / "SegmentationClass" / f"{name}.png")

    def list_path(self, split: str) -> Path:
        return self._root / "ImageSets" / "Segmentation" / f"{split}.txt"

    def names(self, split: str) -> tuple[list[str], list[str]]:
        """Returns the images that the list of a split names, and those that it names twice."""
        path = self.list_path(split)
        if not path.is_file():
            raise UserError(f"{path}: no such file; expected the list of the split {split!r}")
        return _read_list(path)

    def problems(self) -> list[str]:
        """Returns labels without image, and how the lists contradict each other."""
        problems = [
            f"{path}: no image {self.image(path.stem)}"
            for path in sorted((self._root / "SegmentationClass").glob("[!.]*.png"))
            if not self.image(path.stem).exists()
        ]
        lists = [self.list_path(split) for split in ("train", "val", "trainval")]
        if all(path.is_file() for path in lists):
            train, val, both = (set(_read_list(path)[0]) for path in lists)
            problems += [f"{lists[1]}: {name} is in {lists[0]} too" for name in sorted(train & val)]
            problems += _differences(lists[2], both, "train and val", train | val)
        return problems


class _Sbd:
    """The folder of SBD that holds `cls`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @functools.cached_property
    def names(self) -> frozenset[str]:
        """The images that have annotations."""
        return frozenset(path.stem for path in (self._root / "cls").glob("[!.]*.mat"))

    def image(self, name: str) -> Path:
        return self._root / "img" / f"{name}.jpg"

    def label(self, name: str) -> SbdLabel:
        return SbdLabel(self._root / "cls" / f"{name}.mat")

    def problems(self) -> list[str]:
        """Returns how the folder's own lists differ from its files."""
        lists = [self._root / f"{split}.txt" for split in ("train", "val")]
        if not all(path.is_file() for path in lists):
            return []
        listed = {name for path in lists for name in _read_list(path)[0]}
        return _differences(self._root / "train.txt and val.txt", listed, "cls", set(self.names))


def _augmented_pairs(voc: _Voc, sbd: _Sbd) -> tuple[list[Pair], list[str]]:
    (train, problems), (val, _) = voc.names("train"), voc.names("val")
    names = (set(train) | sbd.names) - set(val)
    for path in (voc.list_path(AUGMENTED), voc.list_path("trainaug")):
        if path.is_file():
            problems += _differences(path, set(_read_list(path)[0]), "VOC and SBD give", names)
    own = set(train)

    def pair(name: str) -> Pair:
        # Both have copies of the same images.
        missing = not voc.image(name).exists() and sbd.image(name).exists()
        image = sbd.image(name) if missing else voc.image(name)
        return Pair(image, (voc if name in own else sbd).label(name), f"{name}.jpg")

    return _existing([pair(name) for name in sorted(names)], problems)


def _existing(pairs: Sequence[Pair], problems: Sequence[str]) -> tuple[list[Pair], list[str]]:
    """Returns the pairs whose files are there, and `problems` with the others'."""
    found, problems = [], list(problems)
    for pair in pairs:
        label: LabelSource = pair.label
        missing = [f for f in (pair.image, label.file) if isinstance(f, Path) and not f.exists()]
        problems += [f"{file}: no such file, for {pair.name}" for file in missing]
        if not missing:
            found.append(pair)
    return found, problems


def _read_list(path: Path) -> tuple[list[str], list[str]]:
    """Returns the stems that a list names, in its order, and a problem for each repetition.

    A line holds a name, or paths as in some lists of train_aug, of which the first counts.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error
    counts: dict[str, int] = {}
    for line in lines:
        if line.strip():
            name = Path(line.split()[0]).name.removesuffix(".jpg")
            counts[name] = counts.get(name, 0) + 1
    return list(counts), [f"{path}: names {n} {c} times" for n, c in counts.items() if c > 1]


def _differences(
    path: Path, listed: set[str], other_name: str, other: set[str], most: int = 3
) -> list[str]:
    """Returns a problem if a list of names is not equal to other names."""
    if listed == other:
        return []
    parts = []
    for names, where in ((listed - other, "only in the list"), (other - listed, "not in it")):
        if names:
            shown = ", ".join(sorted(names)[:most]) + ", ..." * (len(names) > most)
            parts.append(f"{len(names)} {where} ({shown})")
    return [f"{path}: {len(listed)} names, {other_name} {len(other)}: {'; '.join(parts)}"]


def _find(root: str | os.PathLike, folders: Sequence[str], holds: str) -> Path:
    for folder in folders:
        if (Path(root) / folder / holds).is_dir():
            return Path(root) / folder
    places = " or ".join(str(Path(root) / folder / holds) for folder in folders)
    raise UserError(f"{root}: has no folder {holds}; expected {places}")
