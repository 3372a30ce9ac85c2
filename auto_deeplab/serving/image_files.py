"""Finds and reads people's images."""

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from auto_deeplab.errors import UserError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
# Pillow's names of these formats.
FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")


class ImageFile(NamedTuple):
    """An image or a video to read.

    Attributes:
      path: where it is.
      name: its path below the folder it was found in, without the suffix.
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
      images: a file; a folder, whose subfolders count too; or a glob, where ** reaches any depth.
        In folders and globs only files that end as images do are taken, and no hidden ones.
      outside: a folder of which nothing is taken, such as the one for results, if it is below the
        one that is searched. What is searched itself, or lies around it, is not left out.
      suffixes: of the files that are looked for, in lower case.

    Raises:
      UserError: there are none, or two whose names differ in the suffix alone.
    """
    if os.path.isfile(images):
        root, paths = Path(images).parent, [Path(images)]
    else:
        if os.path.isdir(images):
            root, matches = Path(images), map(str, Path(images).rglob("*"))
        else:
            root, matches = _fixed_part(images), glob.iglob(images, recursive=True)
        excluded = _folder_below(root, outside)
        paths = [
            path
            for path in map(Path, matches)
            if path.suffix.lower() in suffixes
            and not path.name.startswith(".")
            and path.is_file()
            and (excluded is None or excluded not in path.resolve().parents)
        ]
    if not paths:
        raise UserError(
            f"--images={images}: no images found; expected a file, a folder or a glob of files "
            f"that end with {', '.join(suffixes)}"
        )
    found: dict[str, ImageFile] = {}
    for path in sorted(paths):
        name = path.relative_to(root).with_suffix("").as_posix()
        if name in found:
            raise UserError(
                f"{path} and {found[name].path} would give results of the same name: "
                "rename one of them"
            )
        found[name] = ImageFile(path, name)
    return list(found.values())


def read_image(
    path: str | os.PathLike,
    max_pixels: int | None = None,
    formats: Sequence[str] | None = None,
) -> np.ndarray:
    """Reads an image as viewers show it: turned by its EXIF orientation, as RGB.

    Grayscale, palette, CMYK and 16-bit files are converted; transparency is dropped.

    Args:
      path: the file.
      max_pixels: an image with more is refused by its header, before it is decoded. By default
        Pillow's own limit holds, about 179 million.
      formats: Pillow's names of those that are tried, such as `FORMATS` where the file is a
        stranger's; by default all that it knows, some of which it opens with other programs.

    Returns:
      uint8 [height, width, 3].

    Raises:
      UnreadableImage: the file cannot be read or decoded, or is too large.
    """
    try:
        with Image.open(path, formats=formats) as image:
            if max_pixels is not None and image.width * image.height > max_pixels:
                raise UnreadableImage(
                    f"{image.width}x{image.height} pixels; expected at most {max_pixels:,}"
                )
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):
                # 16-bit gray: Pillow's own conversion would clip everything above 255 to white.
                gray = np.asarray(upright).astype(np.uint32) >> 8
                return np.repeat(np.minimum(gray, 255).astype(np.uint8)[..., None], 3, axis=-1)
            return np.asarray(upright.convert("RGB"))
    except Image.DecompressionBombError as error:
        # Raised before the size can be asked for.
        limit = 2 * Image.MAX_IMAGE_PIXELS
        raise UnreadableImage(
            f"too many pixels; expected at most {min(limit, max_pixels or limit):,}"
        ) from error
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow's message for a file that is no image repeats the file's name.
        reason = "not an image file" if "cannot identify" in str(error) else str(error)
        raise UnreadableImage(reason) from error


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
