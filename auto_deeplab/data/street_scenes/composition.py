"""Composes street scenes: what stands where, the camera, the light, the sensor."""

import zlib
from collections.abc import Callable

import cv2
import numpy as np

from auto_deeplab.data.datasets.cityscapes import LABEL_IDS
from auto_deeplab.data.street_scenes import people, street_furniture, surroundings, vehicles
from auto_deeplab.data.street_scenes.canvas import Camera, Canvas, Light
from auto_deeplab.data.street_scenes.surroundings import Street

# Things that few streets show. Scene i has the i-th of them (in turn) in its foreground, so that
# even small sets hold every class.
RARE = ("train", "bus", "motorcycle", "truck", "wall", "rider", "fence", "traffic light")

# How strongly each label's surface is textured: deviations of fine and of coarse noise.
_TEXTURE = {
    "vegetation": (0.16, 0.16),
    "terrain": (0.12, 0.10),
    "road": (0.045, 0.05),
    "sidewalk": (0.05, 0.05),
    "building": (0.035, 0.05),
    "wall": (0.06, 0.07),
    "rail track": (0.10, 0.06),
    "sky": (0.0, 0.012),
    "car": (0.015, 0.03),
}

_Item = tuple[float, Callable[[], None]]


def draw_scene(
    seed: int, split: str, index: int, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draws a street scene as a car's camera sees it.

    Args:
        seed: The data set's seed.
        split: Such as "train".
        index: The scene's number; equal arguments give equal scenes.
        height: In pixels.
        width: In pixels.

    Returns:
        The image, uint8 [height, width, 3] RGB, and Cityscapes labelIds, uint8 [height, width].
    """
    rng = np.random.default_rng([seed, zlib.crc32(split.encode()), index])
    rare = RARE[index % len(RARE)]
    canvas = Canvas(_camera(rng, height, width), _light(rng))
    street = _street(rng, rare)
    surroundings.draw_sky(canvas, rng)
    surroundings.draw_ground(canvas, rng, street)
    surroundings.draw_end(canvas, rng, street)
    for side in (-1, 1):
        kinds = _frontage_kinds(rng)
        if rare in ("wall", "fence") and side == (-1) ** (index // len(RARE)):
            kinds = [rare, rare, *kinds]
        surroundings.draw_frontage(canvas, rng, street, side, kinds)
    if rng.random() < 0.6:
        surroundings.draw_shadows(canvas, rng, street)
    items = _traffic(canvas, rng, street, rare) + _roadside(canvas, rng, street, rare)
    for _, draw in sorted(items, key=lambda item: -item[0]):
        draw()
    _draw_void(canvas, rng)
    return _expose(canvas, rng), canvas.label


def _camera(rng: np.random.Generator, height: int, width: int) -> Camera:
    return Camera(
        height=height,
        width=width,
        focal=width * rng.uniform(0.85, 1.2),
        horizon=height * rng.uniform(0.38, 0.52),
        center=width * rng.uniform(0.38, 0.62),
        elevation=rng.uniform(1.2, 1.8),
    )


def _light(rng: np.random.Generator) -> Light:
    sun = rng.uniform(-1, 1)
    hazes = [(206, 214, 222), (188, 196, 204), (222, 212, 196), (170, 176, 182)]
    return Light(
        left=0.8 - 0.25 * sun,
        right=0.8 + 0.25 * sun,
        front=rng.uniform(0.75, 1.05),
        haze=hazes[rng.integers(len(hazes))],
        visibility=float(np.exp(rng.uniform(np.log(90), np.log(600)))),
    )


def _street(rng: np.random.Generator, rare: str) -> Street:
    own, other = rng.uniform(2.2, 5.5), rng.uniform(4.5, 8.5)
    if rare == "train":
        other += 3.5
    return Street(
        left=-other,
        right=own,
        sidewalk=(rng.uniform(1.6, 4.5), rng.uniform(1.6, 4.5)),
        verge=tuple(rng.choice([0.0, 0.0, rng.uniform(1, 5)]) for _ in range(2)),
        end=rng.uniform(45, 150),
    )


def _frontage_kinds(rng: np.random.Generator) -> list[str]:
    if rng.random() < 0.6:
        return ["building"] * 5 + ["park", "wall", "fence"]
    return ["park"] * 4 + ["building", "wall", "fence", "gap"]


def _traffic(canvas: Canvas, rng: np.random.Generator, street: Street, rare: str) -> list[_Item]:
    """Places what moves or stands on the road, without collisions along each lane."""
    items: list[_Item] = []

    def add(draw: Callable, x: float, z: float, *arguments: object) -> None:
        items.append((z, lambda: draw(canvas, rng, x, z, *arguments)))

    tram_lane = street.left + 1.9
    if rare == "train":
        street_furniture.draw_track(canvas, rng, tram_lane, street.end)
        add(vehicles.draw_train, tram_lane, rng.uniform(7, 24))
    elif rng.random() < 0.1:
        street_furniture.draw_track(canvas, rng, tram_lane, street.end)
        add(vehicles.draw_train, tram_lane, rng.uniform(14, 50))

    big = {"bus": vehicles.draw_bus, "truck": vehicles.draw_truck}
    lanes = [street.right - 1.4, *np.arange(street.right - 4.6, street.left + 3.8, -3.3)]
    featured = int(rng.integers(len(lanes))) if rare in big else -1
    two_wheeled = int(rng.integers(len(lanes))) if rare in ("motorcycle", "rider") else -1
    for lane, x in enumerate(lanes):
        parked = lane == 0 and rng.random() < 0.55
        z = rng.uniform(4, 9) if parked or abs(x) > 2.2 else rng.uniform(9, 24)
        if lane == two_wheeled:
            z = rng.uniform(5, 10)
            motor = rare == "motorcycle" or rng.random() < 0.3
            draw = vehicles.draw_motorcycle if motor else vehicles.draw_bicycle
            add(draw, x + rng.uniform(-0.5, 0.5), z, rare == "rider" or rng.random() < 0.6)
            z += rng.uniform(3, 8)
        if lane == featured:
            z = max(z, rng.uniform(7, 15))
            add(big[rare], x, z)
            z += 14
        while z < 80:
            kind = rng.random()
            middle = x + rng.uniform(-0.3, 0.3)
            if kind < 0.08:
                add(vehicles.draw_truck, middle, z)
                z += 11
            elif kind < 0.13:
                add(vehicles.draw_bus, middle, z)
                z += 14
            elif kind < 0.19:
                add(vehicles.draw_motorcycle, middle, z, rng.random() < 0.7)
                z += 3
            elif kind < 0.26:
                add(vehicles.draw_bicycle, middle, z, True)
                z += 3
            else:
                add(vehicles.draw_car, middle, z)
                z += 5
            z += rng.uniform(0.6, 2.5) if parked else rng.exponential(14) + 2
    if rng.random() < 0.15:
        add(vehicles.draw_crossing_car, rng.uniform(-8, 8), rng.uniform(14, 30))
    for _ in range(int(rng.integers(0, 3))):
        add(people.draw_person, rng.uniform(street.left, street.right), rng.uniform(9, 32))
    return items


def _roadside(canvas: Canvas, rng: np.random.Generator, street: Street, rare: str) -> list[_Item]:
    """Places what stands or walks on the sidewalks."""
    items: list[_Item] = []

    def add(draw: Callable, x: float, z: float, *arguments: object) -> None:
        items.append((z, lambda: draw(canvas, rng, x, z, *arguments)))

    for side in (-1, 1):
        low, high = street.sidewalk_range(side)
        curb = street.curb(side) + side * 0.4
        step, z = rng.uniform(11, 24), rng.uniform(5, 14)
        trees = rng.random() < 0.45
        while z < 90:
            add(street_furniture.draw_lamp_post, curb, z)
            if trees:
                add(surroundings.draw_tree, curb + side * 0.3, z + step / 2)
            z += step
        for _ in range(int(rng.poisson(1.6))):
            add(street_furniture.draw_traffic_sign, curb, rng.uniform(5, 32))
        if rng.random() < 0.2:
            add(street_furniture.draw_direction_sign, (low + high) / 2, rng.uniform(10, 30))
        if rare == "traffic light" or rng.random() < 0.4:
            near = 6 if rare == "traffic light" else 10
            add(street_furniture.draw_traffic_light, curb, rng.uniform(near, near + 12))
        for _ in range(int(rng.poisson(2.5))):
            z = 4.5 + rng.exponential(11)
            for _ in range(int(rng.choice([1, 1, 2, 3]))):
                add(people.draw_person, rng.uniform(low + 0.3, high), z + rng.uniform(0, 1.2))
        for _ in range(int(rng.poisson(0.7))):
            z = 5 + rng.exponential(8)
            for index in range(int(rng.integers(1, 5))):
                add(vehicles.draw_bicycle, rng.uniform(low, high), z + 0.5 * index, False)
        if rng.random() < 0.15:
            add(vehicles.draw_motorcycle, rng.uniform(low, high), 5 + rng.exponential(8), False)
        for _ in range(int(rng.poisson(0.5))):
            add(street_furniture.draw_bin, rng.uniform(low, high), rng.uniform(5, 25))
        if rng.random() < 0.2:
            begin = rng.uniform(5, 12)
            for z in np.arange(begin, begin + rng.uniform(6, 16), rng.uniform(1.5, 2.5)):
                add(street_furniture.draw_bollard, curb, z)
    return items


def _draw_void(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paints the hood of the camera's own car, and the borders of a rectified image."""
    height, width = canvas.label.shape
    if rng.random() < 0.35:
        rise = height * rng.uniform(0.04, 0.11)
        columns = np.linspace(-0.05, 1.05, 24)
        rows = height - rise * (1 - (2 * columns - 1) ** 4)
        hood = np.stack([columns * width, rows], axis=-1)
        hood = np.concatenate([hood, [(1.1 * width, 2 * height), (-0.1 * width, 2 * height)]])
        hood = np.round(hood).astype(np.int32)
        color = (rng.uniform(14, 120) + rng.uniform(-10, 10, 3)).tolist()
        cv2.fillPoly(canvas.image, [hood], color, cv2.LINE_AA)
        cv2.fillPoly(canvas.label, [hood], LABEL_IDS["ego vehicle"])
    if rng.random() < 0.3:
        border = max(1, round(width * rng.uniform(0.002, 0.008)))
        edge = np.ones((height, width), bool)
        edge[border:-border, border:-border] = False
        canvas.image[edge] = 0
        canvas.label[edge] = LABEL_IDS["out of roi"]


def _expose(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Adds texture, exposure, color cast, vignetting, blur and sensor noise to the drawing."""
    height, width = canvas.label.shape
    unit = width / 512
    strengths = np.full((2, 256), 0.02, np.float32)
    for name, deviations in _TEXTURE.items():
        strengths[:, LABEL_IDS[name]] = deviations
    fine = surroundings.smooth_noise(rng, height, width, max(1.0, 1.5 * unit))
    coarse = surroundings.smooth_noise(rng, height, width, 9 * unit)
    gain: np.ndarray = 1 + fine * cv2.LUT(canvas.label, strengths[0])
    gain += coarse * cv2.LUT(canvas.label, strengths[1])
    slow = surroundings.smooth_noise(rng, height, width, 90 * unit)
    rows = np.linspace(-1, 1, height, dtype=np.float32)[:, np.newaxis]
    columns = np.linspace(-1, 1, width, dtype=np.float32)
    vignette = 1 - np.float32(rng.uniform(0, 0.16)) * (rows**2 + columns**2)
    gain *= vignette * (1 + np.float32(0.05) * slow)
    exposure = np.exp(rng.uniform(-0.25, 0.3)) * rng.uniform(0.93, 1.07, 3)
    contrast, middle = rng.uniform(0.8, 1.15), 110
    image: np.ndarray = canvas.image * gain[..., np.newaxis]
    image *= (exposure * contrast).astype(np.float32)
    image += np.float32(middle * (1 - contrast) + rng.uniform(-12, 12))
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.45, 0.95) * max(unit, 0.6))
    # Noise of 256 levels from random bytes, which is ten times faster than exact normal numbers.
    levels = np.sort(rng.normal(0, rng.uniform(1.5, 6), 256)).astype(np.float32)
    noise: np.ndarray = cv2.LUT(rng.integers(0, 256, image.shape, np.uint8), levels)
    image += noise
    return np.clip(np.rint(image, out=image), 0, 255, out=image).astype(np.uint8)
