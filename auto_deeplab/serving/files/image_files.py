"""Finds and reads people's images."""

import fnmatch
import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from auto_deeplab.data import image_files
from auto_deeplab.data.image_files import FORMATS as FORMATS
from auto_deeplab.data.image_files import MOST_PIXELS_IN_FILES, BadInput
from auto_deeplab.foundations.errors import UserError, argument
from auto_deeplab.foundations.files import files_below

# Of the formats that are read, `FORMATS`.
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")


class ImageFile(NamedTuple):
    """An image or a video to read.

    Attributes:
        path: Where it is.
        name: Its path below the folder it was found in, without the suffix.
    """

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        """Whether it is called as videos are."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES


class UnreadableImage(Exception):
    """A file that is no image, a damaged one, or one that a network refuses.

    The message says why, without its name.
    """


def refusal(message: str) -> UnreadableImage:
    """Returns the error for an image that an exported network refuses.

    Args:
        message: TensorFlow's; the line of it that says why is kept.
    """
    lines = message.splitlines() or [""]
    reason = next((line for line in lines if "assertion failed" in line), lines[0])
    return UnreadableImage(f"refused by the network: {reason}")


def find_images(
    images: str,
    outside: str | os.PathLike | None = None,
    suffixes: tuple[str, ...] = SUFFIXES,
) -> list[ImageFile]:
    """Returns the images that a user means, ordered by name.

    Args:
        images: A file; a folder, whose subfolders count too; or a glob, where ** reaches any depth.
            In folders and globs only files that end as images do are taken. Links are followed, and
            nothing hidden is taken, nor what is in a hidden folder below the one given. What turns
            out to be neither a file nor a folder that can be listed, such as a link to nothing, is
            taken too: reading it tells the reason.
        outside: A folder of which nothing is taken, such as the one for results, if it is below the
            one that is searched. What is searched itself, or lies around it, is not left out.
        suffixes: Of the files that are looked for, in lower case.

    Raises:
        UserError: There are none, or two whose names differ in the suffix alone.
    """
    if os.path.isfile(images):
        root, paths = Path(images).parent, [Path(images)]
    else:
        root = Path(images) if os.path.isdir(images) else _fixed_part(images)
        excluded = _folder_below(root, outside)
        paths = [
            path
            for path, usable in _matches(images, root).items()
            if (path.suffix.lower() in suffixes or not usable)
            and (excluded is None or excluded not in path.resolve().parents)
        ]
    if not paths:
        raise UserError(
            f"{argument('images', images)}: no images found; expected a file, a folder or a glob "
            f"of files that end with {', '.join(suffixes)}"
        )
    found: dict[str, ImageFile] = {}
    for path in sorted(paths):
        name = path.relative_to(root).with_suffix("").as_posix()
        if name in found:
            raise UserError(
                f"received {path} and {found[name].path}, which would give results of the same "
                "name; expected different names: rename one of them"
            )
        found[name] = ImageFile(path, name)
    return list(found.values())


def read_image(path: str | os.PathLike, max_pixels: int = MOST_PIXELS_IN_FILES) -> np.ndarray:
    """Reads an image as viewers show it: turned by its EXIF orientation, as RGB.

    Grayscale, palette, CMYK and those files of 16 bits a channel that fill their range are
    converted; transparency is dropped.

    Args:
        path: The file.
        max_pixels: An image with more is refused by its header, before it is decoded.

    Returns:
        uint8 [height, width, 3].

    Raises:
        UnreadableImage: The file cannot be read or decoded, is too large, or has more bits a
            channel than 8 and does not tell for sure what they mean in 8.
    """
    try:
        return image_files.read_image(Path(path), max_pixels, cut_depth=True).pixels
    except BadInput as error:
        raise UnreadableImage(str(error)) from error


def _matches(images: str, root: Path) -> dict[Path, bool]:
    """Returns what a folder or a glob reaches, and whether it is a file.

    Args:
        images: The folder or the glob.
        root: The folder, or the part of the glob before its first wildcard.
    """
    if not root.is_dir():
        return {}
    pattern = ("**",) if os.path.isdir(images) else Path(images).relative_to(root).parts
    found, unusable = files_below(root, None if "**" in pattern else len(pattern))
    if root in unusable:
        raise UserError(f"{argument('images', images)}: {root}: {unusable[root]}")
    reached = dict.fromkeys(found, True) | dict.fromkeys(unusable, False)
    return {
        path: usable
        for path, usable in reached.items()
        if _is_match(path.relative_to(root).parts, pattern)
    }


def _is_match(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path matches a glob, each by its parts."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_is_match(parts[i:], pattern[1:]) for i in range(len(parts) + 1))
    return (
        bool(parts)
        and fnmatch.fnmatchcase(parts[0], pattern[0])
        and _is_match(parts[1:], pattern[1:])
    )


def _folder_below(root: Path, folder: str | os.PathLike | None) -> Path | None:
    """Returns where a folder is if it is below another one, and None otherwise."""
    if folder is None:
        return None
    resolved = Path(folder).resolve()
    return resolved if root.resolve() in resolved.parents else None


def _fixed_part(pattern: str) -> Path:
    """Returns the folder of a glob before its first wildcard."""
    fixed = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return Path(*fixed)
