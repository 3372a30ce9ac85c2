"""A camera, and a canvas that paints an image together with its labels.

Space is measured in meters from the camera's foot: X to the right, Y up, Z ahead. The ground is
Y = 0. Things are painted from back to front, so that near ones hide far ones in image and labels.
"""

import dataclasses
import math
from collections.abc import Sequence

import cv2
import numpy as np

from auto_deeplab.data.datasets.cityscapes import LABEL_IDS

Color = Sequence[float] | np.ndarray

# OpenCV takes coordinates in units of 1/16 pixel; far outside of the image they are clipped.
_FRACTION_BITS = 4
_MOST_PIXELS = 20000
_NEAREST = 1.0


@dataclasses.dataclass(frozen=True)
class Camera:
    """A level pinhole camera.

    Args:
        height: Of the image, in pixels.
        width: Of the image, in pixels.
        focal: Focal length, in pixels.
        horizon: Row of the horizon.
        center: Column of the vanishing point.
        elevation: Height above the ground, in meters.
    """

    height: int
    width: int
    focal: float
    horizon: float
    center: float
    elevation: float

    def project(self, points: np.ndarray) -> np.ndarray:
        """Maps [..., 3] (X, Y, Z in meters) to [..., 2] (column, row)."""
        points = np.asarray(points, np.float64)
        scale = self.focal / np.maximum(points[..., 2], _NEAREST)
        projected = np.empty((*points.shape[:-1], 2))
        projected[..., 0] = self.center + scale * points[..., 0]
        projected[..., 1] = self.horizon + scale * (self.elevation - points[..., 1])
        return projected

    def pixels(self, meters: float, z: float) -> float:
        """Returns the length in pixels of `meters` at depth z."""
        return self.focal * meters / max(z, _NEAREST)

    @property
    def nearest_ground(self) -> float:
        """The depth of the ground at the image's bottom edge."""
        return self.focal * self.elevation / (self.height - self.horizon)


@dataclasses.dataclass(frozen=True)
class Light:
    """How surfaces are lit.

    Args:
        left: Brightness of faces that look to the left.
        right: Brightness of faces that look to the right.
        front: Brightness of faces that look at the camera.
        haze: (red, green, blue) of the far haze, as plain numbers.
        visibility: The depth in meters at which haze covers 63%.
    """

    left: float
    right: float
    front: float
    haze: Color
    visibility: float


class Canvas:
    """An image, uint8 [height, width, 3] RGB, and its labelIds, uint8 [height, width].

    Every painting method takes `label`, the name of a Cityscapes label, or None for a detail that
    changes the image only.
    """

    def __init__(self, camera: Camera, light: Light) -> None:
        self.camera = camera
        self.light = light
        self.image = np.zeros((camera.height, camera.width, 3), np.uint8)
        self.label = np.zeros((camera.height, camera.width), np.uint8)

    def hazy(self, color: Color, z: float) -> tuple[float, float, float]:
        """Returns `color` as it looks from the distance z."""
        clear = math.exp(-z / self.light.visibility)
        red, green, blue = color.tolist() if isinstance(color, np.ndarray) else color
        haze_red, haze_green, haze_blue = self.light.haze
        return (
            min(255.0, red * clear + haze_red * (1 - clear)),
            min(255.0, green * clear + haze_green * (1 - clear)),
            min(255.0, blue * clear + haze_blue * (1 - clear)),
        )

    def polygon(
        self, corners: Sequence | np.ndarray, color: Color, label: str | None = None
    ) -> None:
        """Paints a polygon, [corners, 3] in meters."""
        self.polygons(np.asarray(corners, np.float64)[np.newaxis], color, label)

    def polygons(self, corners: np.ndarray, color: Color, label: str | None = None) -> None:
        """Paints polygons that do not overlap, [polygons, corners, 3] in meters, in one color."""
        if corners.shape[0] == 0:
            return
        shapes = _fixed(self.camera.project(corners))
        cv2.fillPoly(
            self.image,
            list(shapes),
            self.hazy(color, float(corners[..., 2].mean())),
            cv2.LINE_AA,
            _FRACTION_BITS,
        )
        if label is not None:
            cv2.fillPoly(self.label, list(shapes), LABEL_IDS[label], shift=_FRACTION_BITS)

    def rectangle(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        z: float,
        color: Color,
        label: str | None = None,
    ) -> None:
        """Paints an upright rectangle that faces the camera."""
        corners = [(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)]
        self.polygon(corners, color, label)

    def ellipse(
        self,
        center: Sequence[float],
        radii: tuple[float, float],
        color: Color,
        label: str | None = None,
        ring: float = 0.0,
    ) -> None:
        """Paints an upright ellipse that faces the camera.

        Args:
            center: (X, Y, Z).
            radii: Horizontal and vertical, in meters.
            color: RGB.
            label: Painted over the whole ellipse, even if only its ring is seen.
            ring: Thickness in meters of the ring to paint; 0 paints the whole ellipse.
        """
        z = center[2]
        axes = [self.camera.pixels(radius, z) for radius in radii]
        middle = self._fixed_point(center)
        lengths = tuple(int(max(axis, 0.5) * (1 << _FRACTION_BITS)) for axis in axes)
        if max(axes) > self.camera.width:
            return
        thickness = max(1, round(self.camera.pixels(ring, z))) if ring else cv2.FILLED
        cv2.ellipse(
            self.image,
            middle,
            lengths,
            0,
            0,
            360,
            self.hazy(color, z),
            thickness,
            cv2.LINE_AA,
            _FRACTION_BITS,
        )
        if label is not None:
            cv2.ellipse(
                self.label,
                middle,
                lengths,
                0,
                0,
                360,
                LABEL_IDS[label],
                cv2.FILLED,
                cv2.LINE_8,
                _FRACTION_BITS,
            )

    def line(
        self,
        begin: Sequence[float],
        end: Sequence[float],
        width: float,
        color: Color,
        label: str | None = None,
    ) -> None:
        """Paints a straight bar of `width` meters, at least one pixel wide."""
        first, second = self._fixed_point(begin), self._fixed_point(end)
        z = max(begin[2], end[2])
        thickness = max(1, round(self.camera.pixels(width, (begin[2] + end[2]) / 2)))
        cv2.line(
            self.image,
            first,
            second,
            self.hazy(color, z),
            thickness,
            cv2.LINE_AA,
            _FRACTION_BITS,
        )
        if label is not None:
            cv2.line(
                self.label,
                first,
                second,
                LABEL_IDS[label],
                thickness,
                cv2.LINE_8,
                _FRACTION_BITS,
            )

    def box(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        z: tuple[float, float],
        color: Color,
        label: str | None = None,
        taper: float = 0.0,
        slope: float = 0.0,
    ) -> None:
        """Paints the visible faces of a box.

        Args:
            x: Left and right.
            y: Bottom and top.
            z: Near and far.
            color: RGB, in full light.
            label: A label's name.
            taper: By how much the top is narrower on the left and on the right, in meters.
            slope: By how much the top is shorter on the near and on the far end, in meters.
        """
        (x0, x1), (y0, y1), (z0, z1) = x, y, z
        base = np.asarray(color, np.float64)
        near, far = z0 + slope, z1 - slope
        left, right = x0 + taper, x1 - taper
        if y1 < self.camera.elevation:
            top = [(left, y1, near), (right, y1, near), (right, y1, far), (left, y1, far)]
            self.polygon(top, base * 1.1, label)
        if x0 > 0:
            face = [(x0, y0, z0), (left, y1, near), (left, y1, far), (x0, y0, z1)]
            self.polygon(face, base * self.light.left, label)
        if x1 < 0:
            face = [(x1, y0, z0), (right, y1, near), (right, y1, far), (x1, y0, z1)]
            self.polygon(face, base * self.light.right, label)
        front = [(x0, y0, z0), (x1, y0, z0), (right, y1, near), (left, y1, near)]
        self.polygon(front, base * self.light.front, label)

    def _fixed_point(self, point: Sequence[float]) -> tuple[int, int]:
        """Projects one point: plain Python is several times faster than NumPy for that."""
        camera = self.camera
        x, y, z = point
        scale = camera.focal / max(z, _NEAREST)
        column = camera.center + scale * x
        row = camera.horizon + scale * (camera.elevation - y)
        column = min(max(column, -_MOST_PIXELS), _MOST_PIXELS)
        row = min(max(row, -_MOST_PIXELS), _MOST_PIXELS)
        return round(column * (1 << _FRACTION_BITS)), round(row * (1 << _FRACTION_BITS))

    def darken(self, corners: Sequence, factor: float) -> None:
        """Casts a shadow: multiplies the image inside of a polygon, [corners, 3] in meters."""
        points = self.camera.project(np.asarray(corners, np.float64))
        low = np.clip(np.floor(points.min(axis=0)), 0, None).astype(int)
        size = (self.camera.width, self.camera.height)
        high = np.minimum(np.ceil(points.max(axis=0)) + 1, size).astype(int)
        if (high <= low).any():
            return
        mask = np.zeros((high - low)[::-1], np.uint8)
        cv2.fillPoly(mask, [_fixed(points - low)], 255, cv2.LINE_AA, _FRACTION_BITS)
        part = self.image[low[1] : high[1], low[0] : high[0]]
        strength = mask[..., np.newaxis] * np.float32((1 - factor) / 255)
        np.multiply(part, 1 - strength, out=part, casting="unsafe")


def _fixed(points: np.ndarray) -> np.ndarray:
    """Converts pixels to OpenCV's fixed-point coordinates."""
    clipped = np.minimum(np.maximum(points, -_MOST_PIXELS), _MOST_PIXELS)
    return np.rint(clipped * (1 << _FRACTION_BITS)).astype(np.int32)
