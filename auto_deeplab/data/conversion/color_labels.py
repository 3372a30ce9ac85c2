"""Labels that are drawn in colors: label files whose colors tell the classes."""

import dataclasses
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from auto_deeplab.data.conversion.pairs import most_label_pixels
from auto_deeplab.data.description import Color
from auto_deeplab.data.image_files import BadInput, SourceFile, read_image, read_label
from auto_deeplab.foundations.errors import argument

# Formats that keep each color.
_LOSSLESS_FORMATS = ("PNG", "BMP", "TIFF")
_MOST_COLORS_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class ColorLabel:
    """Labels in an image file whose colors, or else numbers, tell the classes.

    Args:
        file: A file without loss. Of one channel, its numbers count.
        colors: Each color that may occur, with the label value that it stands for.
    """

    file: SourceFile
    colors: Sequence[tuple[Color, int]]

    def read(self, image_size: tuple[int, int] | None) -> np.ndarray:
        """Returns the label value of each pixel's color; see `LabelSource.read`."""
        most_pixels = most_label_pixels(image_size)
        mode, palette, opaque = self._layout(most_pixels)
        if mode == "P":
            return self._by_palette(read_label(self.file, most_pixels), palette)
        if mode not in ("RGB", "RGBA"):
            return read_label(self.file, most_pixels)
        if not opaque:
            raise BadInput("has transparent pixels; expected the color of a class in each pixel")
        pixels = read_image(self.file, most_pixels).pixels
        values, known = self._values(pixels)
        if not known.all():
            colors, counts = np.unique(pixels[~known], axis=0, return_counts=True)
            found = [
                f"{tuple(colors[i].tolist())} ({counts[i]} pixels)" for i in np.argsort(-counts)
            ]
            more = f" and {len(found) - _MOST_COLORS_SHOWN} more"
            raise BadInput(
                f"received colors of no class: {', '.join(found[:_MOST_COLORS_SHOWN])}"
                + more * (len(found) > _MOST_COLORS_SHOWN)
                + f"; expected those of {argument('palette')} alone"
            )
        return values

    def facts(self) -> list:
        """Returns the colors and their label values."""
        return ["colors", [[*color, value] for color, value in self.colors]]

    def _layout(self, most_pixels: int) -> tuple[str, list[int], bool]:
        """Returns the mode ("" if not of colors or a palette), the palette, whether it is opaque.

        What is wrong with the file is told by what reads it.
        """
        try:
            image = Image.open(io.BytesIO(self.file.read_bytes()))
            if image.format not in _LOSSLESS_FORMATS or image.width * image.height > most_pixels:
                return "", [], True
            opaque = image.mode != "RGBA" or image.getchannel("A").getextrema() == (255, 255)
            return image.mode, image.getpalette("RGB") or [], opaque
        except Exception:  # Pillow's decoders raise many kinds.
            return "", [], True

    def _by_palette(self, indices: np.ndarray, palette: Sequence[int]) -> np.ndarray:
        """Returns labels by their colors if all of them are colors of classes, else the indices.

        An image whose colors are used for something else must not have some of the classes' colors
        where they would mean another class.
        """
        used = np.unique(indices)
        colors = np.zeros((256, 3), np.uint8)
        colors[: len(palette) // 3] = np.reshape(palette[: len(palette) // 3 * 3], (-1, 3))
        values, known = self._values(colors[used])
        known &= used < len(palette) // 3
        if known.all():
            table = np.zeros(256, np.uint8)
            table[used] = values
            return table[indices]
        if (known & (values != used)).any():
            contradictory = ", ".join(
                f"{index} {tuple(colors[index].tolist())}" for index in used[known][:5]
            )
            raise BadInput(
                f"some colors of its own palette are in {argument('palette')} and some are not, so "
                "that neither colors nor indices tell the classes for sure: received index and "
                f"color {contradictory}; expected all of them or none"
            )
        return indices

    def _values(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the value of each color [..., 3], and whether it has one."""
        table: dict[int, int] = {}
        shared: set[int] = set()
        for (red, green, blue), value in self.colors:
            code = red << 16 | green << 8 | blue
            if table.setdefault(code, value) != value:
                shared.add(code)
        codes = np.array(sorted(table), np.int32)
        values = np.array([table[code] for code in sorted(table)], np.uint8)
        wide = pixels.astype(np.int32)
        found = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
        places = np.minimum(np.searchsorted(codes, found), len(codes) - 1)
        known = codes[places] == found
        ambiguous = shared & set(np.unique(found[known]).tolist()) if shared else ()
        for code in ambiguous:
            color = (code >> 16, code >> 8 & 255, code & 255)
            raise BadInput(
                f"received color {color}, which several classes of {argument('palette')} have; "
                "expected a color of its own for each class that occurs"
            )
        return values[places], known
