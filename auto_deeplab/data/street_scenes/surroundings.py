"""Sky, ground, and what lines a street: buildings, walls, fences, hedges, trees."""

import dataclasses
import itertools
from collections.abc import Sequence

import cv2
import numpy as np

from auto_deeplab.data.datasets.cityscapes import LABEL_IDS
from auto_deeplab.data.street_scenes.canvas import Canvas, Color

_FAR = 400.0


@dataclasses.dataclass(frozen=True)
class Street:
    """The cross-section of a straight street, in meters from the camera.

    Args:
        left: X of the road's left curb (negative).
        right: X of its right curb.
        sidewalk: Width of the sidewalks (left, right).
        verge: Width of the green strips behind them (left, right).
        end: The depth at which something closes the street.
    """

    left: float
    right: float
    sidewalk: tuple[float, float]
    verge: tuple[float, float]
    end: float

    def curb(self, side: int) -> float:
        """X of the road's edge; side is -1 (left) or 1 (right)."""
        return self.left if side < 0 else self.right

    def frontage(self, side: int) -> float:
        """X of the line where buildings begin."""
        index = 0 if side < 0 else 1
        return self.curb(side) + side * (self.sidewalk[index] + self.verge[index])

    def sidewalk_range(self, side: int) -> tuple[float, float]:
        """The smaller and the larger X of a sidewalk."""
        inner = self.curb(side)
        outer = inner + side * self.sidewalk[0 if side < 0 else 1]
        return min(inner, outer), max(inner, outer)


def smooth_noise(rng: np.random.Generator, height: int, width: int, cell: float) -> np.ndarray:
    """Returns float32 [height, width], noise of deviation near 1 that varies over `cell` pixels."""
    rows, columns = int(height / cell) + 3, int(width / cell) + 3
    coarse = rng.standard_normal((rows, columns), np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def draw_sky(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paints the sky: a gradient, with clouds in most scenes."""
    camera = canvas.camera
    rows = int(camera.horizon) + 2
    high = np.asarray(
        [(96, 146, 214), (120, 165, 220), (190, 200, 210), (150, 160, 172), (225, 228, 232)][
            rng.integers(5)
        ],
        np.float32,
    )
    low = np.asarray(canvas.light.haze, np.float32)
    mix = np.linspace(0, 1, rows, dtype=np.float32)[:, np.newaxis, np.newaxis] ** 1.3
    sky = np.broadcast_to(high + (low - high) * mix, (rows, camera.width, 3)).copy()
    if rng.random() < 0.75:
        cell = camera.width / rng.uniform(3, 8)
        noise = smooth_noise(rng, rows, camera.width, cell)
        noise += 0.5 * smooth_noise(rng, rows, camera.width, cell / 3)
        cover = np.clip((noise - rng.uniform(-0.5, 1.0)) * 0.8, 0, 0.85)[..., np.newaxis]
        cloud = np.float32(rng.uniform(190, 248))
        sky += (cloud - sky) * cover
    canvas.image[:rows] = np.clip(sky, 0, 255)
    canvas.label[:rows] = LABEL_IDS["sky"]


def draw_ground(canvas: Canvas, rng: np.random.Generator, street: Street) -> None:
    """Paints the ground: green land, sidewalks with curbs, the road with its markings."""
    camera = canvas.camera
    horizon = int(camera.horizon) + 1
    land = _pick(rng, [(92, 112, 62), (110, 118, 78), (128, 112, 84), (78, 98, 58)])
    canvas.image[horizon:] = canvas.hazy(land, 40)
    canvas.label[horizon:] = LABEL_IDS["terrain"]
    near = camera.nearest_ground * 0.8
    asphalt = rng.uniform(70, 140) + rng.uniform(-6, 6, 3)
    # Depth bands give the haze its gradient.
    bands = [near, 8, 14, 25, 45, 90, _FAR]
    pavement = asphalt + rng.uniform(8, 60) * rng.choice([1, 1, 1, -0.6]) + rng.uniform(-9, 9, 3)
    for z0, z1 in itertools.pairwise(bands):
        for side in (-1, 1):
            x0, x1 = street.sidewalk_range(side)
            _strip(canvas, x0, x1, z0, z1, pavement, "sidewalk")
        _strip(canvas, street.left, street.right, z0, z1, asphalt, "road")
    _draw_tiles(canvas, rng, street, pavement, near)
    for side in (-1, 1):
        curb = street.curb(side)
        x0, x1 = sorted((curb, curb + side * 0.25))
        _strip(canvas, x0, x1, near, 60, np.minimum(pavement + 28, 235), "sidewalk")
        x0, x1 = sorted((curb, curb - side * 0.3))
        _strip(canvas, x0, x1, near, 60, asphalt * 0.8)
    _draw_road_details(canvas, rng, street, asphalt, near)


def draw_shadows(canvas: Canvas, rng: np.random.Generator, street: Street) -> None:
    """Casts shadows of unseen and seen things onto the ground."""
    side = int(rng.choice([-1, 1]))
    outer = street.frontage(side)
    factor = rng.uniform(0.5, 0.8)
    z = rng.uniform(3, 15)
    while z < 70:
        length = rng.uniform(5, 18)
        reach = outer - side * rng.uniform(1, abs(street.left) + street.right)
        lean = rng.uniform(-3, 3)
        canvas.darken(
            [
                (outer, 0, z),
                (reach, 0, z + lean),
                (reach, 0, z + length + lean),
                (outer, 0, z + length),
            ],
            factor,
        )
        z += length + rng.uniform(2, 14)


def draw_end(canvas: Canvas, rng: np.random.Generator, street: Street) -> None:
    """Paints what closes the street: distant trees and houses across its end."""
    z = street.end
    x = -1.2 * z
    while x < 1.2 * z:
        width = rng.uniform(0.08, 0.25) * z
        height = rng.uniform(0.04, 0.16) * z + 2
        if rng.random() < 0.5:
            draw_crown(
                canvas, rng, (x + width / 2, height * 0.4, z), (width * 0.7, height * 0.5), 14
            )
        else:
            color = _pick(rng, _FACADES)
            canvas.rectangle((x, x + width), (0, height), z, color, "building")
            _draw_front_windows(canvas, rng, (x, x + width), height, z, color)
        x += width * rng.uniform(0.8, 1.3)


_FACADES = [
    (176, 160, 138),
    (150, 132, 118),
    (196, 188, 176),
    (142, 86, 70),
    (122, 124, 128),
    (206, 186, 140),
    (168, 120, 96),
    (98, 96, 100),
    (214, 206, 198),
    (136, 140, 120),
]


def draw_frontage(
    canvas: Canvas, rng: np.random.Generator, street: Street, side: int, kinds: list[str]
) -> None:
    """Paints what lines one side of the street, from far to near.

    Args:
        canvas: What to paint on.
        rng: Source of chance.
        street: The street.
        side: -1 (left) or 1 (right).
        kinds: For choosing: "building", "park", "wall", "fence", "gap".
    """
    segments = []
    z = rng.uniform(0.5, 3)
    while z < min(street.end, 110):
        kind = kinds[rng.integers(len(kinds))]
        length = rng.uniform(9, 24) if kind == "building" else rng.uniform(7, 16)
        segments.append((kind, z, z + length))
        z += length + (rng.uniform(1.5, 7) if rng.random() < 0.25 else 0)
    line = street.frontage(side)
    for kind, z0, z1 in reversed(segments):
        if kind == "building":
            _draw_building(
                canvas, rng, line + side * rng.choice([0, 0, rng.uniform(0, 3)]), side, z0, z1
            )
        elif kind == "park":
            _draw_park(canvas, rng, line, side, z0, z1)
        elif kind == "wall":
            _draw_park(canvas, rng, line + side * 3, side, z0, z1)
            _draw_wall(canvas, rng, line, side, z0, z1)
        elif kind == "fence":
            if rng.random() < 0.5:
                _draw_park(canvas, rng, line + side * 2, side, z0, z1)
            else:
                _draw_building(canvas, rng, line + side * rng.uniform(3, 7), side, z0, z1)
            _draw_fence(canvas, rng, line, side, z0, z1)


def draw_crown(
    canvas: Canvas,
    rng: np.random.Generator,
    center: tuple[float, float, float],
    radii: tuple[float, float],
    leaves: int,
) -> None:
    """Paints foliage: overlapping blobs, dark ones below and bright ones above."""
    base = _pick(
        rng, [(66, 88, 40), (84, 104, 52), (52, 76, 44), (104, 112, 56), (122, 98, 50)]
    ).tolist()
    x, y, z = center
    leaves = max(6, int(leaves * min(1, 25 / z)))
    angles = rng.uniform(0, 2 * np.pi, leaves)
    distances = np.sqrt(rng.uniform(0, 1, leaves)) * 0.75
    right, up = np.cos(angles) * distances, np.sin(angles) * distances
    sizes = rng.uniform(0.28, 0.5, leaves)
    shades = 0.75 + 0.35 * (up + 0.5) + rng.uniform(-0.12, 0.12, leaves)
    order = np.argsort(up)
    leaf = np.stack([x + right * radii[0], y + up * radii[1], sizes, shades], axis=-1)[order]
    for column, row, size, shade in leaf.tolist():
        color = (base[0] * shade, base[1] * shade, base[2] * shade)
        canvas.ellipse((column, row, z), (size * radii[0], size * radii[1]), color, "vegetation")


def draw_tree(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paints a tree; its trunk is vegetation too, as in Cityscapes."""
    height = rng.uniform(4, 10)
    trunk = rng.uniform(0.18, 0.4)
    bark = _pick(rng, [(86, 70, 54), (70, 62, 54), (104, 92, 78)])
    canvas.line((x, 0, z), (x + rng.uniform(-0.3, 0.3), height * 0.6, z), trunk, bark, "vegetation")
    spread = rng.uniform(0.28, 0.45) * height
    middle = (x, height * rng.uniform(0.62, 0.72), z)
    draw_crown(canvas, rng, middle, (spread, height * 0.36), int(rng.integers(16, 34)))


def _strip(
    canvas: Canvas,
    x0: float,
    x1: float,
    z0: float,
    z1: float,
    color: Color,
    label: str | None = None,
) -> None:
    canvas.polygon([(x0, 0, z0), (x1, 0, z0), (x1, 0, z1), (x0, 0, z1)], color, label)


def _draw_tiles(
    canvas: Canvas, rng: np.random.Generator, street: Street, pavement: np.ndarray, near: float
) -> None:
    if rng.random() < 0.3:
        return
    step = rng.uniform(0.8, 2.0)
    joint = pavement * rng.uniform(0.78, 0.92)
    for side in (-1, 1):
        x0, x1 = street.sidewalk_range(side)
        z = np.arange(near, 30, step)
        corners = np.zeros((len(z), 4, 3))
        corners[:, :, 0] = (x0, x1, x1, x0)
        corners[:, :2, 2] = z[:, np.newaxis]
        corners[:, 2:, 2] = z[:, np.newaxis] + 0.06
        canvas.polygons(corners, joint)
        for x in np.arange(x0 + step, x1, step):
            _strip(canvas, x, x + 0.05, near, 30, joint)


def _draw_road_details(
    canvas: Canvas, rng: np.random.Generator, street: Street, asphalt: np.ndarray, near: float
) -> None:
    for _ in range(rng.integers(0, 4)):  # Repaired patches.
        x = rng.uniform(street.left, street.right - 1)
        z = rng.uniform(near, 30)
        _strip(
            canvas,
            x,
            min(x + rng.uniform(0.6, 2.5), street.right),
            z,
            z + rng.uniform(1, 8),
            asphalt * rng.uniform(0.75, 1.2),
        )
    for x in (street.left + 1.2, street.right - 2.2):  # Tracks of tires.
        _strip(canvas, x, x + 0.5, near, 70, asphalt * rng.uniform(0.84, 0.97))
    paint = np.clip(rng.uniform(175, 235) + rng.uniform(-8, 8, 3), 0, 255)
    lanes = max(1, round((street.right - street.left) / 3.4))
    for lane in range(1, lanes):
        x = street.left + lane * (street.right - street.left) / lanes
        dash, gap = (_FAR, 0) if rng.random() < 0.2 else (3.0, rng.uniform(3, 6))
        z = rng.uniform(near - 2, near + 3)
        while z < 90:
            _strip(canvas, x - 0.08, x + 0.08, max(z, near), min(z + dash, 120), paint)
            z += dash + gap
    if rng.random() < 0.4:
        for side in (-1, 1):
            x = street.curb(side) - side * 0.6
            _strip(canvas, x - 0.06, x + 0.06, near, 110, paint)
    if rng.random() < 0.35:  # A pedestrian crossing.
        z = rng.uniform(8, 26)
        for x in np.arange(street.left + 0.4, street.right - 0.5, 1.0):
            _strip(canvas, x, x + 0.5, z, z + 3, paint)
    if rng.random() < 0.5:
        x, z = rng.uniform(street.left + 1, street.right - 1), rng.uniform(near, 16)
        turn = np.linspace(0, 2 * np.pi, 16)
        ring = np.stack([x + 0.35 * np.cos(turn), 0 * turn, z + 0.35 * np.sin(turn)], axis=-1)
        canvas.polygon(ring, asphalt * 0.6)


def _draw_building(
    canvas: Canvas, rng: np.random.Generator, x: float, side: int, z0: float, z1: float
) -> None:
    height = rng.uniform(6, 22)
    color = np.asarray(_pick(rng, _FACADES)) * rng.uniform(0.8, 1.1)
    lit = canvas.light.left if side > 0 else canvas.light.right
    depth = rng.uniform(8, 14)
    if rng.random() < 0.45:  # A pitched roof.
        roof = _pick(rng, [(122, 70, 56), (84, 78, 78), (98, 84, 72), (70, 72, 80)])
        rise = rng.uniform(2, 4)
        inner = x + side * 3
        canvas.polygon(
            [
                (x, height, z0),
                (x, height, z1),
                (inner, height + rise, z1),
                (inner, height + rise, z0),
            ],
            roof,
            "building",
        )
        canvas.polygon(
            [(x, height, z0), (inner, height + rise, z0), (x + side * depth, height, z0)],
            color * canvas.light.front,
            "building",
        )
    canvas.polygon(
        [(x, 0, z0), (x, height, z0), (x, height, z1), (x, 0, z1)], color * lit, "building"
    )
    left, right = sorted((x, x + side * depth))
    canvas.rectangle((left, right), (0, height), z0, color * canvas.light.front, "building")
    if z0 < 75:
        _draw_side_windows(canvas, rng, x, z0, z1, height, color * lit)
        _draw_front_windows(canvas, rng, (left, right), height, z0, color * canvas.light.front)
    band = color * lit * rng.uniform(0.6, 1.25)
    for y in (height - 0.4, 3.4):  # Cornice and ground floor band.
        if rng.random() < 0.6:
            canvas.polygon([(x, y, z0), (x, y + 0.3, z0), (x, y + 0.3, z1), (x, y, z1)], band)
    if rng.random() < 0.4:  # Shops: glass, with an awning above.
        begin, end = z0 + 0.8, z1 - 0.8
        glass = rng.uniform(40, 110, 3)
        canvas.polygon([(x, 0.4, begin), (x, 2.7, begin), (x, 2.7, end), (x, 0.4, end)], glass)
        sign = rng.uniform(40, 220, 3)
        out = x - side * 0.9
        canvas.polygon(
            [(x, 3.3, begin), (out, 2.6, begin), (out, 2.6, end), (x, 3.3, end)], sign, "building"
        )


def _windows(
    rng: np.random.Generator, along: tuple[float, float], height: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns begin and end along the facade, and bottom and top, of windows: [windows, 2]."""
    floor, pitch = rng.uniform(2.8, 3.6), rng.uniform(1.8, 3.4)
    share, tall = rng.uniform(0.35, 0.65), rng.uniform(1.3, 2.1)
    columns = max(1, int((along[1] - along[0] - 0.8) / pitch))
    step = (along[1] - along[0]) / columns
    floors = max(1, int((height - 1.0) / floor))
    column, row = np.meshgrid(np.arange(columns), np.arange(floors))
    begin = along[0] + (column.ravel() + (1 - share) / 2) * step
    bottom = 1.0 + row.ravel() * floor
    return (
        np.stack([begin, begin + share * step], axis=-1),
        np.stack([bottom, np.minimum(bottom + tall, height - 0.5)], axis=-1),
    )


def _paint_windows(
    canvas: Canvas, rng: np.random.Generator, corners: np.ndarray, wall: np.ndarray
) -> None:
    glass = rng.uniform(30, 90) + rng.uniform(-8, 14, 3)
    if rng.random() < 0.3:  # Mirrors the sky.
        glass = np.asarray(canvas.light.haze) * rng.uniform(0.6, 0.95)
    bright = rng.random(len(corners)) < 0.2
    canvas.polygons(corners[~bright], glass)
    canvas.polygons(corners[bright], glass * 0.4 + wall * 0.6)


def _draw_side_windows(
    canvas: Canvas,
    rng: np.random.Generator,
    x: float,
    z0: float,
    z1: float,
    height: float,
    wall: np.ndarray,
) -> None:
    along, up = _windows(rng, (z0, z1), height)
    visible = along[:, 0] > 2.5
    along, up = along[visible], up[visible]
    corners = np.empty((len(along), 4, 3))
    corners[:, :, 0] = x
    corners[:, :, 1] = up[:, [0, 1, 1, 0]]
    corners[:, :, 2] = along[:, [0, 0, 1, 1]]
    _paint_windows(canvas, rng, corners, wall)


def _draw_front_windows(
    canvas: Canvas,
    rng: np.random.Generator,
    x: tuple[float, float],
    height: float,
    z: float,
    wall: Color,
) -> None:
    along, up = _windows(rng, x, height)
    corners = np.empty((len(along), 4, 3))
    corners[:, :, 0] = along[:, [0, 0, 1, 1]]
    corners[:, :, 1] = up[:, [0, 1, 1, 0]]
    corners[:, :, 2] = z
    _paint_windows(canvas, rng, corners, np.asarray(wall))


def _draw_park(
    canvas: Canvas, rng: np.random.Generator, x: float, side: int, z0: float, z1: float
) -> None:
    for _ in range(int(rng.integers(2, 5))):
        z = max(rng.uniform(z0, z1), 6)
        draw_tree(canvas, rng, x + side * rng.uniform(2, 9), z)
    if rng.random() < 0.6:  # A hedge.
        height = rng.uniform(0.7, 1.8)
        for z in np.arange(z1, max(z0, 4), -rng.uniform(0.9, 1.4)):
            draw_crown(canvas, rng, (x + side * 0.8, height / 2, z), (0.8, height * 0.55), 7)


def _draw_wall(
    canvas: Canvas, rng: np.random.Generator, x: float, side: int, z0: float, z1: float
) -> None:
    height = rng.uniform(1.2, 3.2)
    color = np.asarray(
        _pick(rng, [(150, 146, 138), (128, 120, 110), (140, 92, 76), (176, 168, 152)])
    )
    color = color * (canvas.light.left if side > 0 else canvas.light.right)
    canvas.polygon([(x, 0, z0), (x, height, z0), (x, height, z1), (x, 0, z1)], color, "wall")
    left, right = sorted((x, x + side * 0.4))
    canvas.rectangle((left, right), (0, height), z0, color, "wall")
    courses = np.arange(0.25, height, 0.3)
    corners = np.empty((len(courses), 4, 3))
    corners[:, :, 0] = x
    corners[:, :, 1] = courses[:, np.newaxis] + (0, 0.04, 0.04, 0)
    corners[:, :, 2] = (z0, z0, min(z1, 40), min(z1, 40))
    canvas.polygons(corners, color * 0.8)
    if rng.random() < 0.3:  # Graffiti.
        for _ in range(4):
            z = rng.uniform(z0, z1)
            if z > 4:
                shape = [(x, rng.uniform(0.2, height), z + rng.uniform(-1, 1)) for _ in range(5)]
                canvas.polygon(shape, rng.uniform(30, 230, 3))
    top = color * 1.15
    canvas.polygon(
        [(x, height, z0), (x, height + 0.12, z0), (x, height + 0.12, z1), (x, height, z1)],
        top,
        "wall",
    )


def _draw_fence(
    canvas: Canvas, rng: np.random.Generator, x: float, side: int, z0: float, z1: float
) -> None:
    """Paints a fence that one sees through: its label covers the gaps, as in Cityscapes."""
    height = rng.uniform(1.0, 2.2)
    color = _pick(
        rng, [(60, 64, 62), (150, 152, 150), (118, 96, 72), (200, 198, 190), (52, 80, 60)]
    )
    z0 = max(z0, 2.5)
    area = np.array([(x, 0, z0), (x, height, z0), (x, height, z1), (x, 0, z1)])
    columns = canvas.camera.project(area).astype(np.int32)
    cv2.fillPoly(canvas.label, [np.clip(columns, -20000, 20000)], LABEL_IDS["fence"])
    pitch = rng.uniform(0.18, 0.6)
    posts = np.arange(z0, min(z1, 45), pitch)
    corners = np.empty((len(posts), 4, 3))
    corners[:, :, 0] = x
    corners[:, :, 1] = (0, height, height, 0)
    corners[:, :, 2] = posts[:, np.newaxis] + np.asarray((0, 0, 1, 1)) * pitch * 0.3
    canvas.polygons(corners, color)
    for y in (0.15, height * 0.5, height - 0.08):
        canvas.polygon([(x, y, z0), (x, y + 0.07, z0), (x, y + 0.07, z1), (x, y, z1)], color)


def _pick(rng: np.random.Generator, colors: Sequence[Color]) -> np.ndarray:
    """Chooses a color and varies it a little."""
    return np.clip(
        np.asarray(colors[int(rng.integers(len(colors)))]) + rng.uniform(-14, 14, 3), 0, 255
    )
