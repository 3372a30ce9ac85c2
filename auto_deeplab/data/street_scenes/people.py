"""Pedestrians and riders."""

import numpy as np

from auto_deeplab.data.street_scenes.canvas import Canvas

_SKIN = [(224, 184, 156), (198, 148, 112), (140, 98, 72), (96, 66, 50)]
_CLOTHES = [
    (30, 32, 38),
    (58, 66, 92),
    (126, 128, 132),
    (168, 40, 44),
    (214, 210, 200),
    (76, 96, 62),
    (150, 118, 82),
    (44, 84, 140),
    (196, 160, 70),
    (120, 60, 110),
]


def draw_person(canvas: Canvas, rng: np.random.Generator, x: float, z: float) -> None:
    """Paints someone who walks or stands; the feet are at (x, 0, z)."""
    size = rng.uniform(1.55, 1.9) * (0.65 if rng.random() < 0.1 else 1.0)
    light = canvas.light.front
    top, bottom = _choose(rng, _CLOTHES) * light, _choose(rng, _CLOTHES) * light
    skin = _choose(rng, _SKIN) * light
    lean = rng.uniform(-0.03, 0.03)
    wide = rng.uniform(0.85, 1.2)
    stride = rng.uniform(-0.16, 0.16) * size
    canvas.darken(
        [
            (x - 0.3, 0, z - 0.2),
            (x + 0.3, 0, z - 0.2),
            (x + 0.3, 0, z + 0.3),
            (x - 0.3, 0, z + 0.3),
        ],
        0.6,
    )
    hip, shoulder = 0.5 * size, 0.83 * size
    for foot in (x - stride, x + stride):
        canvas.line((x, hip, z), (foot, 0.04, z), 0.09 * size * wide, bottom, "person")
        canvas.line((foot - 0.06, 0.04, z), (foot + 0.08, 0.04, z), 0.08, (30, 28, 28), "person")
    if rng.random() < 0.2:  # A skirt or a long coat.
        hem = 0.28 * size
        canvas.polygon(
            [(x - 0.1, hip, z), (x + 0.1, hip, z), (x + 0.2, hem, z), (x - 0.2, hem, z)],
            bottom,
            "person",
        )
    half = 0.115 * size * wide
    torso = [
        (x - half * 0.8, hip * 0.95, z), (x + half * 0.8, hip * 0.95, z),
        (x + half + lean, shoulder, z), (x - half + lean, shoulder, z),
    ]  # fmt: skip
    canvas.polygon(torso, top, "person")
    for side in (-1, 1):
        hand = (x + side * (half + 0.05) + stride * side * 0.6, 0.48 * size, z)
        canvas.line((x + side * half, shoulder - 0.04, z), hand, 0.06 * size, top * 0.9, "person")
    if rng.random() < 0.3:  # A bag.
        canvas.rectangle(
            (x + half, x + half + 0.16),
            (0.4 * size, 0.58 * size),
            z,
            rng.uniform(20, 160, 3),
            "person",
        )
    _head(canvas, rng, x + lean * 1.5, 0.93 * size, z, skin)


def draw_rider(
    canvas: Canvas,
    rng: np.random.Generator,
    saddle: tuple[float, float, float],
    bars: tuple[float, float, float],
    pedals: tuple[float, float, float],
    helmet: bool = False,
) -> None:
    """Paints the rider of a two-wheeler who sits on `saddle`, holds `bars`, treads on `pedals`."""
    light = canvas.light.front
    top, bottom = _choose(rng, _CLOTHES) * light, _choose(rng, _CLOTHES) * light
    skin = _choose(rng, _SKIN) * light
    x, y, z = saddle
    forward = np.clip(bars[0] - x, -0.6, 0.6)
    shoulder = (x + 0.45 * forward, y + 0.55, z)
    knee = (x + 0.55 * forward, y - 0.22, z)
    for side in (-0.1, 0.1):
        knee_side = (knee[0] + side, knee[1], z)
        canvas.line((x + side, y, z), knee_side, 0.15, bottom, "rider")
        canvas.line(
            knee_side, (pedals[0] + side * 1.3, pedals[1] - 0.08, z), 0.12, bottom * 0.92, "rider"
        )
    canvas.polygon(
        [
            (x - 0.17, y - 0.05, z), (x + 0.17, y - 0.05, z),
            (shoulder[0] + 0.2, shoulder[1], z), (shoulder[0] - 0.2, shoulder[1], z),
        ],
        top,
        "rider",
    )  # fmt: skip
    for side in (-0.17, 0.17):
        canvas.line(
            (shoulder[0] + side, shoulder[1] - 0.05, z),
            (bars[0] + side, bars[1], z),
            0.09,
            top * 0.9,
            "rider",
        )
    head = (shoulder[0] + 0.12 * np.sign(forward), shoulder[1] + 0.16, z)
    _head(canvas, rng, *head, skin, label="rider")
    if helmet or rng.random() < 0.35:
        color = rng.uniform(20, 235, 3)
        canvas.ellipse((head[0], head[1] + 0.05, z), (0.14, 0.12), color, "rider")


def _head(
    canvas: Canvas,
    rng: np.random.Generator,
    x: float,
    y: float,
    z: float,
    skin: np.ndarray,
    label: str = "person",
) -> None:
    hair = _choose(rng, [(30, 24, 20), (84, 58, 36), (150, 120, 76), (170, 168, 166), (60, 40, 30)])
    canvas.ellipse((x, y, z), (0.095, 0.125), skin, label)
    canvas.ellipse((x, y + 0.05, z), (0.1, 0.09), hair, label)


def _choose(rng: np.random.Generator, colors: list) -> np.ndarray:
    return np.clip(np.asarray(colors[rng.integers(len(colors))]) + rng.uniform(-12, 12, 3), 5, 245)
