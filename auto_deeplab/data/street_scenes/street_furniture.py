"""Poles, lamps, traffic lights, traffic signs, bins and tracks."""

import numpy as np

from auto_deeplab.data.street_scenes.canvas import Canvas

_METAL = [(110, 114, 116), (78, 82, 84), (146, 148, 148), (60, 74, 66)]


def draw_lamp_post(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paints a street lamp whose arm reaches over the road, or a plain pole."""
    height, metal = rng.uniform(4.5, 8), _metal(rng)
    canvas.line((x, 0, z), (x, height, z), 0.16, metal, "pole")
    if rng.random() < 0.7:
        tip = x - np.sign(x) * rng.uniform(0.8, 2.0)
        canvas.line((x, height, z), (tip, height + 0.3, z), 0.1, metal, "pole")
        canvas.line(
            (tip, height + 0.28, z), (tip - np.sign(x) * 0.5, height + 0.3, z), 0.18, metal, "pole"
        )


def draw_traffic_light(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paints a traffic light on its pole, some with a second head above the road."""
    metal, y = _metal(rng), rng.uniform(2.2, 2.7)
    reach = rng.random() < 0.35
    top = 5.4 if reach else y + 1.1
    canvas.line((x, 0, z), (x, top, z), 0.15, metal, "pole")
    _signal_head(canvas, rng, x, y, z)
    if reach:
        tip = x - np.sign(x) * rng.uniform(2, 3.5)
        canvas.line((x, top, z), (tip, top, z), 0.12, metal, "pole")
        _signal_head(canvas, rng, tip, top - 0.9, z)


def draw_traffic_sign(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paints one or two traffic signs on a pole."""
    y = rng.uniform(2.0, 2.6)
    count = 2 if rng.random() < 0.35 else 1
    canvas.line((x, 0, z), (x, y + 0.8 * count, z), 0.09, _metal(rng), "pole")
    for index in range(count):
        _sign(canvas, rng, x, y + 0.4 + 0.8 * index, z)


def draw_direction_sign(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paints a large direction sign on two poles."""
    color = np.asarray([(28, 70, 150), (224, 190, 40), (232, 232, 228)][rng.integers(3)])
    width, y = rng.uniform(1.6, 2.8), rng.uniform(1.8, 2.6)
    for side in (-0.35, 0.35):
        canvas.line(
            (x + side * width, 0, z), (x + side * width, y + 1.2, z), 0.1, _metal(rng), "pole"
        )
    color = color * canvas.light.front
    canvas.rectangle((x - width / 2, x + width / 2), (y, y + 1.3), z, color, "traffic sign")
    ink = 235 if color.mean() < 130 else 30
    for row in range(3):
        left = x - width * 0.4
        right = left + width * rng.uniform(0.3, 0.75)
        canvas.rectangle(
            (left, right), (y + 0.18 + 0.36 * row, y + 0.34 + 0.36 * row), z, (ink,) * 3
        )


def draw_bin(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paints a bin or a box: "static", which is not among the classes."""
    color = rng.uniform(40, 150) + rng.uniform(-20, 20, 3)
    width, height = rng.uniform(0.5, 1.1), rng.uniform(0.8, 1.3)
    canvas.box((x - width / 2, x + width / 2), (0, height), (z, z + width), color, "static")


def draw_bollard(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paints a bollard with a white band."""
    canvas.line((x, 0, z), (x, 0.95, z), 0.12, _metal(rng), "pole")
    canvas.line((x, 0.75, z), (x, 0.85, z), 0.13, (210, 210, 205))


def draw_track(canvas: Canvas, rng: np.random.Generator, x: float, end: float) -> None:
    """Paints a tram's track on the ground; "rail track" is not among the classes."""
    near = canvas.camera.nearest_ground * 0.8
    bed = np.asarray([(118, 112, 104), (96, 96, 98), (104, 112, 84)][rng.integers(3)])
    for z0, z1 in ((near, 14), (14, 40), (40, end)):
        corners = [(x - 1.4, 0, z0), (x + 1.4, 0, z0), (x + 1.4, 0, z1), (x - 1.4, 0, z1)]
        canvas.polygon(corners, bed, "rail track")
        for rail in (-0.72, 0.72):
            left, right = x + rail - 0.06, x + rail + 0.06
            canvas.polygon(
                [(left, 0, z0), (right, 0, z0), (right, 0, z1), (left, 0, z1)], (72, 70, 70)
            )


def _signal_head(canvas: Canvas, rng: np.random.Generator, x: float, y: float, z: float) -> None:
    case = np.asarray(
        [(26, 28, 28), (40, 46, 40), (190, 160, 40)][rng.choice(3, p=[0.6, 0.25, 0.15])]
    )
    canvas.rectangle((x - 0.17, x + 0.17), (y, y + 0.95), z, case, "traffic light")
    lit = int(rng.integers(3))
    colors = [(60, 220, 120), (250, 190, 50), (240, 50, 40)]
    for index, color in enumerate(colors):
        shown = color if index == lit else np.asarray(color) * 0.22
        canvas.ellipse((x, y + 0.17 + 0.3 * index, z), (0.11, 0.11), shown)


def _sign(canvas: Canvas, rng: np.random.Generator, x: float, y: float, z: float) -> None:
    light = canvas.light.front
    white, red = np.asarray((232, 232, 228)) * light, np.asarray((196, 30, 36)) * light
    blue, yellow = np.asarray((30, 72, 160)) * light, np.asarray((236, 196, 40)) * light
    kind = rng.integers(6)
    label = "traffic sign"
    if kind == 0:
        canvas.ellipse((x, y, z), (0.34, 0.34), red, label)
        canvas.ellipse((x, y, z), (0.24, 0.24), white)
    elif kind == 1:
        canvas.ellipse((x, y, z), (0.34, 0.34), blue, label)
        canvas.line((x - 0.15, y, z), (x + 0.15, y, z), 0.08, white)
    elif kind == 2:
        triangle = np.asarray([(-0.42, -0.34), (0.42, -0.34), (0.0, 0.4)])
        for share, color, name in ((1.0, red, label), (0.6, white, None)):
            canvas.polygon([(x + u * share, y + v * share, z) for u, v in triangle], color, name)
    elif kind == 3:
        canvas.rectangle((x - 0.32, x + 0.32), (y - 0.32, y + 0.32), z, blue, label)
        canvas.rectangle((x - 0.12, x + 0.12), (y - 0.2, y + 0.2), z, white)
    elif kind == 4:
        diamond = [(x - 0.4, y, z), (x, y + 0.4, z), (x + 0.4, y, z), (x, y - 0.4, z)]
        canvas.polygon(diamond, white, label)
        canvas.polygon([(x + 0.7 * (a - x), y + 0.7 * (b - y), z) for a, b, _ in diamond], yellow)
    else:  # The gray back of a sign for the other direction.
        canvas.ellipse((x, y, z), (0.34, 0.34), np.asarray((128, 130, 132)) * light, label)


def _metal(rng: np.random.Generator) -> np.ndarray:
    return np.asarray(_METAL[rng.integers(len(_METAL))]) + rng.uniform(-12, 12)
