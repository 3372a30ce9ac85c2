"""Class maps drawn over their images, with a legend of the classes that are there."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from auto_deeplab.data.description import Color, DatasetDescription
from auto_deeplab.visualization.fonts import legend_font

_BACKGROUND = (255, 255, 255)
_TEXT = (30, 30, 30)


def overlay_with_legend(
    image: np.ndarray, class_map: np.ndarray, description: DatasetDescription, opacity: float = 0.6
) -> np.ndarray:
    """Returns the image covered by its classes' colors, with a legend below.

    The legend names each class of the class map with its share of the pixels, the largest first.

    Args:
        image: uint8 [height, width, 3].
        class_map: Integers [height, width]; values that are no class get no color.
        description: Class names and colors.
        opacity: Of the colors, 0 to 1.

    Returns:
        uint8 [height + the legend's, at least width, 3].
    """
    covered = overlay(image, class_map, description.palette, opacity)
    shares = class_shares(class_map, len(description.classes))
    key = legend(
        [f"{description.classes[index]}  {percent(share)}" for index, share in shares],
        [description.palette[index] for index, _ in shares],
        width=image.shape[1],
    )
    width = max(covered.shape[1], key.shape[1])
    return np.concatenate([_widened(covered, width), _widened(key, width)])


def overlay(
    image: np.ndarray, class_map: np.ndarray, palette: Sequence[Color], opacity: float = 0.6
) -> np.ndarray:
    """Blends an image with its classes' colors and draws a thin line where two classes meet.

    Args:
        image: uint8 [height, width, 3].
        class_map: Integers [height, width]; pixels whose value is no class keep the image.
        palette: The color of each class.
        opacity: Of the colors, 0 to 1.

    Returns:
        uint8 [height, width, 3].
    """
    if image.shape[:2] != class_map.shape:
        raise ValueError(
            f"image has shape {image.shape}, class_map {class_map.shape}: expected equal sizes"
        )
    known = (class_map >= 0) & (class_map < len(palette))
    colors = np.asarray(palette, np.float32)[np.where(known, class_map, 0)]
    blended = (1 - opacity) * image + opacity * colors
    blended[_boundaries(class_map)] *= 1 - 0.6 * opacity
    return np.where(known[..., np.newaxis], np.rint(blended), image).astype(np.uint8)


def class_shares(class_map: np.ndarray, classes: int) -> list[tuple[int, float]]:
    """Returns each class that is there with its share of the pixels, the largest first.

    Args:
        class_map: Integers [height, width], none below 0; values that are no class count as pixels.
        classes: The number of classes.

    Returns:
        (class, share above 0 and at most 1).
    """
    counts = np.bincount(np.ravel(class_map), minlength=classes)[:classes]
    present = [int(index) for index in np.argsort(-counts, kind="stable") if counts[index]]
    return [(index, float(counts[index] / class_map.size)) for index in present]


def percent(share: float) -> str:
    """Returns a share as people read it: whole percents, and "<1%" for what is less than one."""
    return f"{share:.0%}" if share >= 0.01 else "<1%"


def legend(texts: Sequence[str], colors: Sequence[Color], width: int) -> np.ndarray:
    """Draws color swatches with texts, in as many columns as the width holds.

    Args:
        texts: What to write.
        colors: Of the swatches.
        width: In pixels; the result is wider where one column needs it.

    Returns:
        uint8 [height, width, 3]; the height is what the rows need.
    """
    size = int(np.clip(width / 50, 12, 32))
    # A line each.
    texts = [" ".join(text.splitlines()) for text in texts]
    fonts = [legend_font(text, size) for text in texts]
    margin, swatch, line = size // 2, size, size + size // 2
    lengths = [font.getlength(text) for font, text in zip(fonts, texts, strict=True)]
    text_width = int(np.ceil(max(lengths, default=0)))
    column = swatch + margin + text_width + 2 * margin
    columns = max(1, min(len(texts), (width - margin) // column))
    rows = -(-len(texts) // columns)
    canvas = Image.new(
        "RGB", (max(width, margin + column), 2 * margin + rows * line - size // 2), _BACKGROUND
    )
    draw = ImageDraw.Draw(canvas)
    for index, (text, font, color) in enumerate(zip(texts, fonts, colors, strict=True)):
        # Read down the columns: the largest classes stand in the first.
        across, down = divmod(index, rows)
        x, y = margin + across * column, margin + down * line
        draw.rectangle((x, y, x + swatch - 1, y + swatch - 1), fill=tuple(color), outline=_TEXT)
        draw.text((x + swatch + margin, y + swatch / 2), text, fill=_TEXT, font=font, anchor="lm")
    return np.asarray(canvas)


def _boundaries(class_map: np.ndarray) -> np.ndarray:
    """Returns where a pixel's right or lower neighbor is of another class, bool [height, width]."""
    edges = np.zeros(class_map.shape, bool)
    edges[:, :-1] |= class_map[:, :-1] != class_map[:, 1:]
    edges[:-1] |= class_map[:-1] != class_map[1:]
    return edges


def _widened(image: np.ndarray, width: int) -> np.ndarray:
    canvas = np.full((image.shape[0], width, 3), _BACKGROUND, np.uint8)
    canvas[:, : image.shape[1]] = image
    return canvas
