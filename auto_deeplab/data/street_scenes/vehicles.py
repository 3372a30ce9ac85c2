"""Cars, trucks, buses, trains, bicycles and motorcycles."""

from collections.abc import Sequence

import numpy as np

from auto_deeplab.data.street_scenes.canvas import Canvas, Color
from auto_deeplab.data.street_scenes.people import draw_rider

_PAINTS = [
    (28, 28, 32),
    (212, 214, 216),
    (126, 130, 134),
    (72, 78, 86),
    (150, 28, 30),
    (30, 56, 118),
    (64, 92, 72),
    (196, 182, 150),
    (168, 170, 172),
    (94, 60, 44),
    (222, 188, 60),
]
_GLASS = (38, 46, 54)
_TIRE = (22, 22, 24)


def draw_car(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paints a car that stands along the street, its near end at depth z, its middle at x."""
    width, length, height = rng.uniform(1.7, 1.95), rng.uniform(3.7, 4.9), rng.uniform(1.38, 1.75)
    paint = _paint(rng)
    hood = height * rng.uniform(0.55, 0.64)
    x0, x1 = x - width / 2, x + width / 2
    z1 = z + length
    _shadow(canvas, x0, x1, z, z1)
    canvas.box((x0, x1), (0.22, hood), (z, z1), paint, "car", taper=0.06, slope=0.08)
    cabin = (z + rng.uniform(0.1, 0.7), z1 - rng.uniform(0.7, 1.3))
    slope = min(0.6, (cabin[1] - cabin[0]) / 4)
    canvas.box((x0 + 0.06, x1 - 0.06), (hood, height), cabin, paint, "car", taper=0.16, slope=slope)
    _cabin_glass(canvas, rng, (x0 + 0.06, x1 - 0.06), (hood, height), cabin, slope)
    for begin in (z + 0.45, z1 - 1.1):
        _side_wheel(canvas, x0, x1, begin, begin + 0.64, "car")
    canvas.rectangle((x0 + 0.05, x0 + 0.28), (0, 0.3), z, _TIRE, "car")
    canvas.rectangle((x1 - 0.28, x1 - 0.05), (0, 0.3), z, _TIRE, "car")
    canvas.rectangle((x0 + 0.05, x1 - 0.05), (0.22, 0.42), z, np.asarray(paint) * 0.55, "car")
    lamps = (196, 26, 22) if rng.random() < 0.6 else (240, 238, 214)
    for left, right in ((x0 + 0.06, x0 + 0.36), (x1 - 0.36, x1 - 0.06)):
        canvas.rectangle((left, right), (hood * 0.68, hood * 0.86), z, lamps)
    canvas.rectangle((x - 0.25, x + 0.25), (hood * 0.5, hood * 0.62), z, (228, 228, 220))


def draw_crossing_car(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paints a car seen from its side."""
    length, height = rng.uniform(3.9, 4.8), rng.uniform(1.4, 1.65)
    facing = rng.choice([-1, 1])
    paint = _paint(rng) * canvas.light.front
    _shadow(canvas, x - length / 2, x + length / 2, z, z + 1.8)
    outline = [
        (-0.5, 0.25), (-0.5, 0.5), (-0.44, 0.62), (-0.3, 0.66), (-0.16, 1.0),
        (0.2, 1.0), (0.36, 0.68), (0.48, 0.6), (0.5, 0.25),
    ]  # fmt: skip
    shape = [(x + facing * u * length, v * height, z) for u, v in outline]
    canvas.polygon(shape, paint, "car")
    glass = [(-0.25, 0.68), (-0.14, 0.94), (0.18, 0.94), (0.31, 0.7)]
    canvas.polygon([(x + facing * u * length, v * height, z) for u, v in glass], _GLASS)
    pillar = x + facing * 0.03 * length
    canvas.rectangle((pillar - 0.04, pillar + 0.04), (0.66 * height, 0.96 * height), z, paint)
    for u in (-0.31, 0.31):
        center = (x + facing * u * length, 0.32, z)
        canvas.ellipse(center, (0.32, 0.32), _TIRE, "car")
        canvas.ellipse(center, (0.18, 0.18), (140, 142, 146))


def draw_truck(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paints a truck along the street, seen from behind or from the front."""
    width, height, length = rng.uniform(2.2, 2.5), rng.uniform(2.9, 3.8), rng.uniform(6, 10)
    cab = 2.0
    x0, x1 = x - width / 2, x + width / 2
    cargo = _vary(
        rng, [(206, 206, 202), (168, 172, 178), (60, 84, 138), (150, 110, 60), (92, 118, 84)]
    )
    paint = _paint(rng)
    z1 = z + length
    _shadow(canvas, x0, x1, z, z1)
    approaching = rng.random() < 0.5
    load = (z + cab + 0.4, z1) if approaching else (z, z1 - cab - 0.4)
    front = (z, z + cab) if approaching else (z1 - cab, z1)
    top = height * 0.82
    parts = [(load, 0.9, height, cargo), (front, 0.45, top, paint)]
    for (near, far), bottom, roof, color in parts if approaching else parts[::-1]:
        canvas.box((x0, x1), (bottom, roof), (near, far), color, "truck")
    canvas.box((x0 + 0.15, x1 - 0.15), (0.45, 0.95), (z + 0.1, z1), (44, 44, 46), "truck")
    if approaching:
        canvas.rectangle((x0, x1), (0.45, top), z, paint * canvas.light.front, "truck")
        canvas.rectangle((x0 + 0.15, x1 - 0.15), (top * 0.55, top * 0.88), z, _GLASS)
        canvas.rectangle((x0 + 0.4, x1 - 0.4), (0.6, 1.1), z, (52, 52, 56))
    else:
        shade = cargo * canvas.light.front
        canvas.rectangle((x - 0.03, x + 0.03), (0.95, height - 0.1), z, shade * 0.6)
        for y in (1.0, height - 0.15):
            canvas.rectangle((x0 + 0.05, x1 - 0.05), (y, y + 0.07), z, shade * 0.65)
        canvas.rectangle((x0 + 0.05, x1 - 0.05), (0.5, 0.85), z, (40, 40, 42), "truck")
    _lamps(canvas, rng, x0, x1, 0.65, z)
    for begin in (z + 0.5, z1 - 1.7, z1 - 2.8):
        _side_wheel(canvas, x0, x1, begin, begin + 0.95, "truck")
    canvas.rectangle((x0 + 0.05, x0 + 0.5), (0, 0.5), z, _TIRE, "truck")
    canvas.rectangle((x1 - 0.5, x1 - 0.05), (0, 0.5), z, _TIRE, "truck")


def draw_bus(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paints a bus along the street: bands of windows on all sides, a destination display."""
    width, height, length = 2.55, rng.uniform(2.9, 3.3), rng.uniform(9, 13)
    paint = _vary(
        rng, [(206, 172, 40), (172, 36, 36), (214, 214, 208), (42, 100, 158), (70, 130, 84)]
    )
    x0, x1, z1 = x - width / 2, x + width / 2, z + length
    _shadow(canvas, x0, x1, z, z1)
    canvas.box((x0, x1), (0.3, height), (z, z1), paint, "bus")
    _window_bands(canvas, x0, x1, z, z1, (1.25, 2.35), 1.5)
    canvas.rectangle((x0 + 0.15, x1 - 0.15), (1.15, 2.4), z, _GLASS)
    canvas.rectangle((x0 + 0.5, x1 - 0.5), (2.5, 2.5 + 0.28), z, (24, 20, 16))
    canvas.rectangle((x0 + 0.7, x1 - 0.9), (2.57, 2.71), z, (250, 170, 40))
    _lamps(canvas, rng, x0, x1, 0.7, z)
    for begin in (z + 1.8, z1 - 3.0):
        _side_wheel(canvas, x0, x1, begin, begin + 1.0, "bus")
    canvas.rectangle((x0 + 0.05, x0 + 0.4), (0, 0.35), z, _TIRE, "bus")
    canvas.rectangle((x1 - 0.4, x1 - 0.05), (0, 0.35), z, _TIRE, "bus")


def draw_train(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paints a tram on its track: several long cars, a rounded front, a pantograph."""
    width, height = 2.5, rng.uniform(3.3, 3.7)
    paint = _vary(
        rng, [(196, 190, 160), (168, 40, 44), (60, 120, 100), (220, 220, 214), (40, 70, 130)]
    )
    stripe = _vary(rng, [(180, 30, 34), (40, 60, 120), (230, 200, 60), (60, 60, 60)])
    x0, x1 = x - width / 2, x + width / 2
    cars, length = int(rng.integers(2, 4)), 9.0
    _shadow(canvas, x0, x1, z, z + cars * length)
    for index in reversed(range(cars)):
        near, far = z + index * length, z + (index + 1) * length - 0.4
        canvas.box((x0, x1), (0.25, height), (near, far), paint, "train")
        _band(canvas, x0, x1, near, far, (0.5, 0.95), stripe)
        _window_bands(canvas, x0, x1, near, far, (1.45, 2.6), 1.3)
        if index == cars - 1:
            top = (x, height + 1.0, (near + far) / 2)
            for foot in (-0.5, 0.5):
                canvas.line((x + foot, height, top[2]), top, 0.08, (50, 50, 52), "train")
    nose = [
        (x0, 0.25, z), (x1, 0.25, z), (x1, height * 0.7, z), (x1 - 0.35, height, z),
        (x0 + 0.35, height, z), (x0, height * 0.7, z),
    ]  # fmt: skip
    canvas.polygon(nose, paint * canvas.light.front, "train")
    canvas.rectangle((x0 + 0.25, x1 - 0.25), (1.35, height * 0.75), z, _GLASS)
    canvas.rectangle((x0, x1), (0.5, 0.95), z, stripe * canvas.light.front)
    canvas.rectangle((x - 0.6, x + 0.6), (height * 0.8, height * 0.9), z, (250, 190, 70))
    _lamps(canvas, rng, x0, x1, 1.0, z)


def draw_bicycle(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, ridden: bool
) -> None:
    """Paints a bicycle, from the side or end on, with or without a rider."""
    frame = _vary(rng, [(40, 40, 44), (170, 40, 40), (40, 80, 150), (190, 190, 190), (60, 120, 70)])
    wheel = 0.34
    if rng.random() < 0.55:
        facing = rng.choice([-1, 1])
        rear, front = (x - facing * 0.52, wheel, z), (x + facing * 0.52, wheel, z)
        saddle, pedals = (x - facing * 0.22, 0.9, z), (x - facing * 0.05, 0.3, z)
        bars = (x + facing * 0.38, 1.0, z)
        outline = [rear, pedals, front, bars, saddle]
        canvas.polygons(np.asarray(outline)[np.newaxis, :, :] * 1.0, frame * 0.6, "bicycle")
        for center in (rear, front):
            canvas.ellipse(center, (wheel, wheel), (96, 96, 98), "bicycle")
            canvas.ellipse(center, (wheel, wheel), _TIRE, ring=0.06)
        for begin, end in (
            (rear, saddle),
            (saddle, pedals),
            (pedals, bars),
            (bars, front),
            (rear, pedals),
        ):
            canvas.line(begin, end, 0.06, frame, "bicycle")
        canvas.line(saddle, (saddle[0], 1.0, z), 0.08, (24, 24, 24), "bicycle")
        if ridden:
            draw_rider(canvas, rng, (saddle[0], 0.95, z), bars, pedals)
        return
    canvas.ellipse((x, wheel, z), (0.06, wheel), _TIRE, "bicycle")
    canvas.line((x, 0.5, z), (x, 0.95, z), 0.07, frame, "bicycle")
    canvas.line((x - 0.28, 1.0, z), (x + 0.28, 1.0, z), 0.05, (60, 60, 60), "bicycle")
    if ridden:
        draw_rider(canvas, rng, (x, 0.9, z), (x, 1.02, z - 0.05), (x, 0.3, z))


def draw_motorcycle(
    canvas: Canvas, rng: np.random.Generator, x: float, z: float, ridden: bool
) -> None:
    """Paints a motorcycle or scooter, from the side or end on, with or without a rider."""
    paint = _vary(
        rng, [(160, 24, 24), (30, 34, 40), (40, 70, 150), (220, 220, 216), (210, 150, 30)]
    )
    wheel = 0.31
    if rng.random() < 0.55:
        facing = rng.choice([-1, 1])
        rear, front = (x - facing * 0.68, wheel, z), (x + facing * 0.68, wheel, z)
        for center in (rear, front):
            canvas.ellipse(center, (wheel, wheel), _TIRE, "motorcycle")
            canvas.ellipse(center, (0.16, 0.16), (130, 130, 134))
        body = [
            (-0.85, 0.75), (-0.2, 0.72), (0.05, 0.98), (0.45, 1.0), (0.62, 0.7), (0.3, 0.3),
            (-0.4, 0.28),
        ]  # fmt: skip
        canvas.polygon([(x + facing * u, v, z) for u, v in body], paint, "motorcycle")
        engine = [(-0.3, 0.25), (0.3, 0.28), (0.25, 0.58), (-0.3, 0.55)]
        canvas.polygon([(x + facing * u, v, z) for u, v in engine], (70, 70, 74))
        seat = [(-0.8, 0.76), (-0.05, 0.74), (-0.02, 0.86), (-0.75, 0.86)]
        canvas.polygon([(x + facing * u, v, z) for u, v in seat], (26, 26, 28), "motorcycle")
        bars = (x + facing * 0.42, 1.12, z)
        canvas.line((x + facing * 0.5, 0.95, z), bars, 0.08, (50, 50, 54), "motorcycle")
        canvas.line(front, (x + facing * 0.5, 0.95, z), 0.08, (150, 150, 154), "motorcycle")
        if ridden:
            draw_rider(
                canvas,
                rng,
                (x - facing * 0.25, 0.84, z),
                bars,
                (x + facing * 0.1, 0.35, z),
                helmet=True,
            )
        return
    canvas.ellipse((x, wheel, z), (0.1, wheel), _TIRE, "motorcycle")
    fairing = [(-0.2, 0.35), (0.2, 0.35), (0.32, 0.8), (0.2, 1.12), (-0.2, 1.12), (-0.32, 0.8)]
    canvas.polygon([(x + u, v, z) for u, v in fairing], paint, "motorcycle")
    canvas.ellipse((x, 0.85, z), (0.11, 0.09), (240, 236, 200))
    canvas.line((x - 0.38, 1.1, z), (x + 0.38, 1.1, z), 0.06, (40, 40, 42), "motorcycle")
    if ridden:
        draw_rider(canvas, rng, (x, 0.88, z), (x, 1.1, z), (x, 0.35, z), helmet=True)


def _paint(rng: np.random.Generator) -> np.ndarray:
    return _vary(rng, _PAINTS)


def _vary(rng: np.random.Generator, colors: Sequence[Color]) -> np.ndarray:
    return np.clip(
        np.asarray(colors[int(rng.integers(len(colors)))]) + rng.uniform(-16, 16, 3), 8, 240
    )


def _shadow(canvas: Canvas, x0: float, x1: float, z0: float, z1: float) -> None:
    canvas.darken(
        [(x0 - 0.2, 0, z0 - 0.25), (x1 + 0.2, 0, z0 - 0.25), (x1 + 0.2, 0, z1), (x0 - 0.2, 0, z1)],
        0.4,
    )


def _side(canvas: Canvas, x0: float, x1: float) -> tuple[float, float] | None:
    """Returns X of the visible side and its brightness, or None where neither side is seen."""
    if x0 > 0:
        return x0, canvas.light.left
    if x1 < 0:
        return x1, canvas.light.right
    return None


def _side_wheel(canvas: Canvas, x0: float, x1: float, begin: float, end: float, label: str) -> None:
    side = _side(canvas, x0, x1)
    if side is None:
        return
    turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    radius, middle = (end - begin) / 2, (begin + end) / 2
    for share, color, name in ((1.0, _TIRE, label), (0.55, (132, 134, 138), None)):
        rim = np.stack(
            [
                np.full_like(turn, side[0]),
                radius + share * radius * np.sin(turn),
                middle + share * radius * np.cos(turn),
            ],
            axis=-1,
        )
        canvas.polygon(rim, color, name)


def _cabin_glass(
    canvas: Canvas,
    rng: np.random.Generator,
    x: tuple[float, float],
    y: tuple[float, float],
    z: tuple[float, float],
    slope: float,
) -> None:
    """Paints the windows of a car's cabin, whose sides lean inward by 0.16 m and `slope`."""
    (x0, x1), (y0, y1), (z0, z1) = x, y, z
    glass = np.asarray(_GLASS) + rng.uniform(-12, 40)
    low, high = y0 + 0.06 * (y1 - y0), y0 + 0.86 * (y1 - y0)
    canvas.polygon(
        [
            (x0 + 0.1, low, z0), (x1 - 0.1, low, z0),
            (x1 - 0.24, high, z0 + slope * 0.86), (x0 + 0.24, high, z0 + slope * 0.86),
        ],
        glass,
    )  # fmt: skip
    side = _side(canvas, x0, x1)
    if side is not None:
        inward = 0.14 if x0 > 0 else -0.14
        canvas.polygon(
            [
                (side[0], low, z0 + 0.25), (side[0] + inward, high, z0 + slope + 0.1),
                (side[0] + inward, high, z1 - slope - 0.1), (side[0], low, z1 - 0.25),
            ],
            glass * 0.9,
        )  # fmt: skip


def _window_bands(
    canvas: Canvas,
    x0: float,
    x1: float,
    z0: float,
    z1: float,
    y: tuple[float, float],
    pitch: float,
) -> None:
    side = _side(canvas, x0, x1)
    if side is None:
        return
    begin = np.arange(z0 + 0.3, z1 - pitch, pitch)
    corners = np.empty((len(begin), 4, 3))
    corners[:, :, 0] = side[0]
    corners[:, :, 1] = (y[0], y[1], y[1], y[0])
    corners[:, :, 2] = begin[:, np.newaxis] + np.asarray((0, 0, 0.88, 0.88)) * pitch
    canvas.polygons(corners, np.asarray(_GLASS) * 1.2)


def _band(
    canvas: Canvas,
    x0: float,
    x1: float,
    z0: float,
    z1: float,
    y: tuple[float, float],
    color: np.ndarray,
) -> None:
    side = _side(canvas, x0, x1)
    if side is not None:
        at, light = side
        canvas.polygon(
            [(at, y[0], z0), (at, y[1], z0), (at, y[1], z1), (at, y[0], z1)], color * light
        )


def _lamps(
    canvas: Canvas, rng: np.random.Generator, x0: float, x1: float, y: float, z: float
) -> None:
    color = (196, 26, 22) if rng.random() < 0.5 else (240, 238, 214)
    for left in (x0 + 0.1, x1 - 0.4):
        canvas.rectangle((left, left + 0.3), (y, y + 0.18), z, color)
