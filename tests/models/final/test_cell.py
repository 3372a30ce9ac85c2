"""Each operation and one whole cell against NumPy in float64."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.models.final.cell import FinalCell
from auto_deeplab.models.final.operations import make_operation
from auto_deeplab.models.resize import ResizeLike
from auto_deeplab.search_space import OPERATIONS, Branch, Genotype

EPSILON = 1e-3
BATCH_NORM = {"momentum": 0.9, "epsilon": EPSILON}
# (batch, height, width, channels)
SHAPES = [(2, 9, 12, 6), (1, 8, 7, 6), (3, 1, 2, 6)]


# ---- the reference: plain NumPy, float64, inference and training alike -------------------------


def windows(x, size, stride, rate, fill):
    """Yields (row, column, x at that offset of each window) for SAME padding."""
    out = [-(-length // stride) for length in x.shape[1:3]]
    pads = [(0, 0)]
    for length, positions in zip(x.shape[1:3], out, strict=True):
        total = max((positions - 1) * stride + (size - 1) * rate + 1 - length, 0)
        pads.append((total // 2, total - total // 2))
    padded = np.pad(x, [*pads, (0, 0)], constant_values=fill)
    for row in range(size):
        for column in range(size):
            r, c = row * rate, column * rate
            yield (
                row,
                column,
                padded[:, r : r + (out[0] - 1) * stride + 1 : stride][
                    :, :, c : c + (out[1] - 1) * stride + 1 : stride
                ],
            )


def convolve(x, kernel, stride=1, rate=1):
    return sum(w @ kernel[r, c] for r, c, w in windows(x, len(kernel), stride, rate, 0.0))


def convolve_depthwise(x, kernel, stride=1):
    return sum(w * kernel[r, c, :, 0] for r, c, w in windows(x, len(kernel), stride, 1, 0.0))


def max_pool(x, stride):
    return np.max([w for _, _, w in windows(x, 3, stride, 1, -np.inf)], axis=0)


def average_pool(x, stride):
    inside = np.ones_like(x)
    total = sum(w for _, _, w in windows(x, 3, stride, 1, 0.0))
    return total / sum(w for _, _, w in windows(inside, 3, stride, 1, 0.0))


def resize(x, size):
    """With aligned corners: the first and the last position stay where they are."""
    for axis, length in zip((1, 2), size, strict=True):
        known = np.arange(x.shape[axis])
        # One position alone is the first one.
        positions = np.linspace(0, known[-1] if length > 1 else 0, length)
        x = np.apply_along_axis(lambda line: np.interp(positions, known, line), axis, x)  # noqa: B023
    return x


def relu(x):
    return np.maximum(x, 0)


class Weights:
    """Hands out a layer's weights in float64, by a part of their names, in creation order."""

    def __init__(self, layer):
        self.left = [(w.name, w.numpy().astype(np.float64)) for w in layer.weights]

    def take(self, part):
        index = next(i for i, (name, _) in enumerate(self.left) if part in name.split("/")[-1])
        return self.left.pop(index)[1]


def norm(x, weights, training):
    gamma, beta = weights.take("gamma"), weights.take("beta")
    mean, variance = weights.take("moving_mean"), weights.take("moving_variance")
    if training:
        mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - mean) / np.sqrt(variance + EPSILON) * gamma + beta


def relu_convolution_norm(x, weights, training, stride=1):
    return norm(convolve(relu(x), weights.take("kernel"), stride), weights, training)


def reference_operation(op, x, weights, training, filters, stride):
    kind = op.rsplit("_", 1)[0]
    if kind == "none":
        return np.zeros([len(x), *(-(-n // stride) for n in x.shape[1:3]), filters])
    if kind == "max_pool":
        return max_pool(x, stride)
    if kind == "avg_pool":
        return average_pool(x, stride)
    if kind == "skip":
        return x if stride == 1 else relu_convolution_norm(x, weights, training, stride)
    if kind == "sep_conv":
        for step in (stride, 1):
            x = convolve_depthwise(relu(x), weights.take("depthwise_kernel"), step)
            x = norm(convolve(x, weights.take("pointwise_kernel")), weights, training)
        return x
    assert kind == "atrous_conv"
    x = relu(x)
    if stride == 2:
        x = resize(x, [-(-n // 2) for n in x.shape[1:3]])
    x = convolve(x, weights.take("kernel"), rate=2 if stride == 1 else 1)
    return norm(x, weights, training)


def reference_cell(layer, prev_prev, prev, training):
    """The cell as docs/networks.md describes it, for a cell that reads both of its inputs."""
    prev_prev = prev_prev.astype(np.float64)
    states = {"prev": prev.astype(np.float64)}
    states["prev"] = relu_convolution_norm(
        states["prev"], Weights(layer.projections["prev"]), training
    )
    if prev_prev.shape[-1] != layer.filters:
        prev_prev = relu_convolution_norm(
            prev_prev, Weights(layer.projections["prev_prev"]), training
        )
    states["prev_prev"] = prev_prev
    blocks = []
    for block, operations in zip(layer.cell, layer.operations, strict=True):
        blocks.append(
            sum(
                reference_operation(
                    branch.op,
                    states[branch.input],
                    Weights(operation),
                    training,
                    layer.filters,
                    layer.stride if branch.input.startswith("prev") else 1,
                )
                for branch, operation in zip(block, operations, strict=True)
            )
        )
        states[f"block{len(blocks)}"] = blocks[-1]
    return np.concatenate(blocks, axis=-1)


# ---- the tests ---------------------------------------------------------------------------------


def random_values(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def randomize(layer, rng):
    """Gives every weight, moving statistics too, a value that shows in the output."""
    for weight in layer.weights:
        value = rng.normal(scale=0.5, size=weight.shape)
        if "variance" in weight.name or "gamma" in weight.name:
            value = np.abs(value) + 0.5
        weight.assign(value)


def assert_agree(actual, expected):
    assert actual.shape == expected.shape
    error = np.abs(np.asarray(actual, np.float64) - expected).max()
    assert error <= 1e-5 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("op", OPERATIONS)
def test_operation_equals_the_reference(op, stride, training):
    rng = np.random.default_rng(7)
    for shape in SHAPES:
        x = random_values(rng, *shape)
        layer = make_operation(op, filters=shape[-1], stride=stride, batch_norm=BATCH_NORM)
        layer.build(x.shape)
        layer(x)
        randomize(layer, rng)
        expected = reference_operation(
            op, x.astype(np.float64), Weights(layer), training, shape[-1], stride
        )
        assert_agree(layer(x, training=training), expected)


@pytest.mark.parametrize("op", OPERATIONS)
def test_operation_is_rebuilt_from_its_config(op):
    layer = make_operation(op, filters=4, stride=2, batch_norm=BATCH_NORM, name="edge")
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_operation_rejects_other_strides():
    with pytest.raises(ValueError, match="received 4"):
        make_operation("skip", filters=4, stride=4)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", [(9, 13), (10, 8)])
@pytest.mark.parametrize("stride", [1, 2])
def test_published_cell_equals_the_reference(stride, size, training):
    rng = np.random.default_rng(3)
    layer = FinalCell(Genotype.load("published").cell, 4, stride=stride, batch_norm=BATCH_NORM)
    prev_prev, prev = random_values(rng, 2, *size, 6), random_values(rng, 2, *size, 20)
    layer((prev_prev, prev))
    randomize(layer, rng)
    expected = reference_cell(layer, prev_prev, prev, training)
    assert_agree(layer((prev_prev, prev), training=training), expected)


@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_any_cell_equals_the_reference(data):
    cell = []
    for block in range(data.draw(st.integers(1, 4), label="blocks")):
        inputs = ["prev_prev", "prev", *(f"block{b}" for b in range(1, block + 1))]
        cell.append(
            [
                Branch(data.draw(st.sampled_from(inputs)), data.draw(st.sampled_from(OPERATIONS)))
                for _ in range(2)
            ]
        )
    # The reference wants both inputs read; what is not read is the next test's.
    cell[0] = [Branch("prev_prev", "max_pool_3x3"), Branch("prev", cell[0][1].op)]
    if cell[0][1].op == "none":
        cell[0][1] = Branch("prev", "skip")
    stride = data.draw(st.sampled_from([1, 2]), label="stride")
    height, width = (data.draw(st.integers(1, 9), label=side) for side in ("height", "width"))
    # 4 channels, as a block has: then prev_prev passes no projection.
    channels = data.draw(st.sampled_from([4, 7]), label="channels of prev_prev")
    rng = np.random.default_rng(data.draw(st.integers(0, 99), label="seed"))

    layer = FinalCell(cell, 4, stride=stride, batch_norm=BATCH_NORM)
    prev_prev = random_values(rng, 2, height, width, channels)
    prev = random_values(rng, 2, height, width, 5)
    layer((prev_prev, prev))
    randomize(layer, rng)
    assert ("prev_prev" in layer.projections) == (channels != 4)
    expected = reference_cell(layer, prev_prev, prev, training=False)
    assert_agree(layer((prev_prev, prev)), expected)


def test_cell_makes_no_weights_for_what_nothing_reads():
    cell = [[Branch("prev", "skip"), Branch("prev_prev", "none")]]
    layer = FinalCell(cell, 4, batch_norm=BATCH_NORM)
    output = layer((tf.ones([1, 4, 4, 6]), tf.ones([1, 4, 4, 6])))
    assert output.shape == [1, 4, 4, 4]
    assert set(layer.projections) == {"prev"}


def test_cell_is_rebuilt_from_its_config():
    layer = FinalCell(
        Genotype.load("published").cell,
        8,
        stride=2,
        batch_norm=BATCH_NORM,
        final_keep_prob=0.8,
        layer_ratio=0.5,
    )
    again = FinalCell.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    assert again.cell == layer.cell


@settings(deadline=None, max_examples=25)
@given(sizes=st.tuples(*[st.integers(1, 20)] * 4), seed=st.integers(0, 99))
def test_resize_like_equals_the_reference(sizes, seed):
    x = random_values(np.random.default_rng(seed), 2, *sizes[:2], 3)
    output = ResizeLike()((x, tf.zeros([2, *sizes[2:], 5])))
    assert_agree(output, resize(x.astype(np.float64), sizes[2:]))
