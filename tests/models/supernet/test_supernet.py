"""The supernet against the textbook formulation: logits, gradients, batch norm statistics."""

import re

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.supernet import textbook
from auto_deeplab.models.supernet.fast import mixed_operations
from auto_deeplab.models.supernet.fast.kernels import unpack
from auto_deeplab.models.supernet.node import NOTHING_FROZEN
from auto_deeplab.models.supernet.supernet import (
    FROZEN_ARCHITECTURE,
    FROZEN_NETWORK,
    Supernet,
)

CLASSES = 4
BATCH = 3  # with 2, batch norm of the pooled image amplifies rounding tenfold
# The textbook computes in float64. In float32 a sum of n products is off by about sqrt(n) * 2**-24
# of its size: at most 3e-6 in the 5x5 convolutions, some 60 of which follow each other from the
# image to the loss and back. That is 2e-4 if no two errors cancel; seen were 3e-6 to 5e-5.
TOLERANCE = 2e-4


def make_supernet(seed=0, **config):
    """A supernet whose alpha, beta and moving statistics differ from their initial values."""
    tf_keras.utils.set_random_seed(seed)
    supernet = Supernet(CLASSES, **config)
    random = np.random.default_rng(seed)
    for variable in supernet.architecture_variables:
        variable.assign(random.normal(0, 0.5, variable.shape))
    for variable in supernet.non_trainable_variables:
        low, high = (0.5, 1.5) if "variance" in variable.name else (-0.2, 0.2)
        variable.assign(random.uniform(low, high, variable.shape))
    return supernet


def make_batch(height, width, seed=1):
    """Images, and what to weigh the logits with."""
    random = np.random.default_rng(seed)
    images = random.normal(0, 1, [BATCH, height, width, 3]).astype(np.float32)
    # Any differentiable function of the logits will do; this one has no symmetry.
    projection = random.normal(0, 1, [BATCH, height, width, CLASSES]).astype(np.float32)
    return tf.constant(images), tf.constant(projection)


def logits_and_gradients(compute, variables, projection, training=True):
    """Returns logits and gradients; nobody differentiates what is not trained: then none."""
    if not training:
        return tf.cast(compute(), tf.float32), []
    with tf.GradientTape() as tape:
        logits = tf.cast(compute(), tf.float32)
        loss = tf.reduce_mean(tf.nn.softplus(logits) * projection)
    return logits, tape.gradient(loss, variables, unconnected_gradients="zero")


def relative_error(actual, expected):
    return np.linalg.norm(actual - expected) / (np.linalg.norm(expected) + 1e-12)


def textbook_weights(supernet, training):
    """The weights of a supernet as the textbook names them, and where their statistics lie.

    Returns the `Weights`, whose kernels are differentiable functions of the supernet's variables,
    and batch norm -> (moving mean, moving variance, the index of its channels in both).
    """
    kernels, statistics = {}, {}

    def add_block(name, block):
        kernels[name] = block.kernel
        norm = block.batch_norm
        statistics[name] = norm.moving_mean, norm.moving_variance, slice(None)

    for index, block in enumerate(supernet.stem, start=1):
        add_block(f"stem/block{index}", block)
    for stride, head in supernet.heads.items():
        name = f"head_stride{stride}"
        add_block(f"{name}/pointwise", head.pointwise)
        add_block(f"{name}/atrous", head.atrous)
        add_block(f"{name}/image_pooling", head.pooling)
        kernels[f"{name}/classifier"] = head.classifier.kernel
        kernels[f"{name}/bias"] = head.classifier.bias
    for segment in supernet.trellis.segments:
        for position, layer in enumerate(segment.layers_covered):
            for node in segment.nodes:
                name = f"layer{layer}/stride{node.stride}"
                add_node(name, node, position, kernels, statistics, supernet.normalized_skip)
    weights = textbook.Weights(
        {name: tf.cast(kernel, tf.float64) for name, kernel in kernels.items()},
        {
            name: (tf.cast(mean[index], tf.float64), tf.cast(variance[index], tf.float64))
            for name, (mean, variance, index) in statistics.items()
        },
        training,
        supernet.trellis.batch_norm_momentum,
    )
    return weights, statistics


def add_node(name, node, position, kernels, statistics, normalized_skip):
    """Adds one layer's kernels and statistics of a node, which keeps each in one vector."""
    vectors = unpack(node.kernel_shapes, node.kernels[position])
    graph, filters = node.cell.graph, node.cell.filters
    start = 0

    def add_statistics(norm, edge=0):
        first = start + edge * filters
        place = (position, slice(first, first + filters))
        statistics[norm] = node.moving_mean, node.moving_variance, place

    for part in [f"arc_from_{source}" for source in node.sources] + ["prev_prev"]:
        if part in vectors:
            kernels[f"{name}/{part}"] = vectors[part]
            add_statistics(f"{name}/{part}")
            start += filters
    for state, of_state in vectors["cell"].items():
        edges = [edge for edge in graph.edges if edge.input == state]
        names = [f"{name}/block{edge.block}/{state}" for edge in edges]
        of_edges = [slice(i * filters, (i + 1) * filters) for i in range(len(edges))]
        padded = -(-len(edges) * filters // 16) * 16
        for operation in graph.operations:
            if operation.startswith("sep_conv"):
                for half in ("first", "second"):
                    for index, (edge, channels) in enumerate(zip(names, of_edges, strict=True)):
                        depthwise = of_state[f"{operation}_{half}_depthwise"][:, :, channels]
                        pointwise = of_state[f"{operation}_{half}_pointwise"][index]
                        kernels[f"{edge}/{operation}/{half}/depthwise"] = depthwise
                        kernels[f"{edge}/{operation}/{half}/pointwise"] = pointwise[None, None]
                        add_statistics(f"{edge}/{operation}/{half}/pointwise", index)
                    start += padded
            elif operation.startswith("atrous"):
                for index, (edge, channels) in enumerate(zip(names, of_edges, strict=True)):
                    kernels[f"{edge}/{operation}"] = of_state[operation][..., channels]
                    add_statistics(f"{edge}/{operation}", index)
                start += padded
        for operation in graph.operations:
            if "pool" in operation or (operation == "skip" and normalized_skip):
                # The edges of a state share its pools, and so their batch norm.
                for edge in names:
                    add_statistics(f"{edge}/{operation.replace('skip', 'normalized_skip')}")
                start += filters
    assert start == node.moving_mean.shape[1]


def both_formulations(supernet, height, width, training):
    """Compares logits and statistics; returns variable name -> (gradient, the textbook's)."""
    images, projection = make_batch(height, width)
    variables = supernet.trainable_variables if training else []
    expected_statistics, places = {}, {}

    def readable():
        weights, where = textbook_weights(supernet, training)
        stride, channels = next(iter(supernet.trellis.block_filters.items()))
        kernels = set(weights.kernels)
        logits = textbook.supernet(
            images,
            supernet.alpha,
            supernet.beta,
            weights,
            supernet.cell_graph,
            supernet.trellis_graph,
            CLASSES,
            channels * 4 // stride,
            supernet.auxiliary_skip,
            supernet.temperature,
            supernet.normalized_skip,
            supernet.stem[0].kernel.shape[-1],
        )
        assert set(weights.kernels) == kernels, "the textbook had to make kernels of its own"
        assert set(weights.moving) == set(where)
        expected_statistics.update(weights.moving)
        places.update(where)
        return logits

    @tf.function(autograph=False)
    def fast():
        return logits_and_gradients(
            lambda: supernet(images, training=training), variables, projection, training
        )

    # The textbook first: training updates the moving statistics that it reads.
    expected, expected_gradients = logits_and_gradients(readable, variables, projection, training)
    actual, gradients = fast()
    assert relative_error(actual, expected) < TOLERANCE
    for name, (mean, variance) in expected_statistics.items():
        moving_mean, moving_variance, index = places[name]
        np.testing.assert_allclose(moving_mean[index], mean, rtol=1e-3, atol=TOLERANCE)
        np.testing.assert_allclose(moving_variance[index], variance, rtol=1e-3, atol=TOLERANCE)
    return {
        variable.name: (gradient.numpy(), wanted.numpy())
        for variable, gradient, wanted in zip(variables, gradients, expected_gradients, strict=True)
    }


def smooth_max_pool(images, size, stride, padding):
    return tf.math.log(tf.nn.avg_pool2d(tf.exp(images), size, stride, padding))


@pytest.fixture
def smooth(monkeypatch):
    """Puts functions with continuous derivatives where ReLU and max pool are.

    Where an activation is zero but for rounding, ReLU and max pool send the gradient elsewhere in
    float32 than in float64, and then no two correct computations agree to 1e-4.
    """
    monkeypatch.setattr(tf.nn, "relu", tf.nn.elu)
    monkeypatch.setattr(tf.nn, "max_pool2d", smooth_max_pool)
    monkeypatch.setitem(mixed_operations.POOLS, "max_pool_3x3", smooth_max_pool)


PAPER_STRIDES = {"layers": 6, "blocks": 1, "filters": 8}  # layers 5 and 6 are alike: a loop
PAPER_CELL = {"layers": 2, "blocks": 5, "filters": 8, "strides": (4,)}


CASES = {
    "paper_strides": ((65, 97), PAPER_STRIDES),
    "paper_cell": ((64, 50), PAPER_CELL),
    "one_block": (
        (40, 33),
        {"layers": 5, "blocks": 1, "filters": 12, "strides": (4, 8), "stem_filters": 10},
    ),
    "few_operations": (
        (37, 32),
        {
            "layers": 4,
            "blocks": 2,
            "filters": 16,
            "strides": (8, 16),
            "operations": ("max_pool_3x3", "skip", "sep_conv_5x5", "atrous_conv_3x3"),
        },
    ),
}


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize(("size", "config"), CASES.values(), ids=CASES)
def test_agrees_with_the_textbook(size, config, training, smooth):
    assert_same_gradients(both_formulations(make_supernet(**config), *size, training))


def assert_same_gradients(gradients):
    """Of each variable, beside its own size or beside the largest of all."""
    largest = max((np.linalg.norm(wanted) for _, wanted in gradients.values()), default=0.0)
    for name, (gradient, wanted) in gradients.items():
        error = np.linalg.norm(gradient - wanted)
        assert error < TOLERANCE * max(np.linalg.norm(wanted), 1e-2 * largest), name


def test_agrees_with_the_textbook_but_where_derivatives_jump():
    size, config = CASES["few_operations"]
    gradients = both_formulations(make_supernet(**config), *size, training=True)
    actual, expected = (
        np.concatenate([pair[index].ravel() for pair in gradients.values()]) for index in (0, 1)
    )
    assert relative_error(actual, expected) < 1e-2


# Pools and skip beside what has kernels; layer 2 has a node two layers back at stride 4 alone.
CURED = {
    "layers": 2,
    "blocks": 2,
    "filters": 4,
    "strides": (4, 8),
    "operations": ("none", "avg_pool_3x3", "skip", "sep_conv_3x3"),
}
WITHOUT_POOL = CURED | {"operations": ("none", "skip", "sep_conv_3x3")}


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize(
    "config",
    [
        CURED | {"auxiliary_skip": True, "has_temperature": True},
        CURED | {"normalized_skip": True},
        # An auxiliary skip is normalized with skip.
        WITHOUT_POOL | {"normalized_skip": True, "auxiliary_skip": True},
    ],
    ids=["auxiliary_skip", "normalized_skip", "both_without_pools"],
)
def test_what_the_paper_does_not_have_agrees_with_the_textbook(config, training, smooth):
    supernet = make_supernet(**config)
    for variable, value in ((supernet.auxiliary_skip, 0.7), (supernet.temperature, 0.25)):
        if variable is not None:
            assert variable.shape == []
            variable.assign(value)
    assert_same_gradients(both_formulations(supernet, 33, 41, training))


def test_the_relaxation_is_what_the_softmaxes_take():
    supernet = make_supernet(**CURED, has_temperature=True)
    supernet.temperature.assign(0.25)
    relaxation = supernet.relaxation()
    np.testing.assert_array_equal(relaxation.alpha, 4 * supernet.alpha.numpy())
    np.testing.assert_array_equal(relaxation.beta, 4 * supernet.beta.numpy())


def test_an_auxiliary_skip_of_0_changes_nothing():
    images, _ = make_batch(33, 33)
    without, with_it = (
        make_supernet(**CURED, auxiliary_skip=auxiliary_skip) for auxiliary_skip in (False, True)
    )
    for variable, value in zip(
        with_it.trainable_variables, without.trainable_variables, strict=True
    ):
        variable.assign(value)
    with_it.auxiliary_skip.assign(0.0)
    logits = [supernet(images, training=True).numpy() for supernet in (without, with_it)]
    np.testing.assert_array_equal(*logits)
    assert without.auxiliary_skip is None
    assert len(with_it.variables) == len(without.variables) + 1
    with_it.auxiliary_skip.assign(1.0)
    assert relative_error(with_it(images, training=True), logits[0]) > 0.01


def test_an_auxiliary_skip_needs_a_skip():
    with pytest.raises(UserError, match=r"Search\.auxiliary_skip: received it with Supernet\.op"):
        Supernet(CLASSES, operations=("none", "sep_conv_3x3"), auxiliary_skip=True)


# The third and the fourth layer are alike; few operations, as each takes time to trace.
ALIKE_LAYERS = {
    "layers": 4,
    "blocks": 1,
    "filters": 4,
    "strides": (4, 8),
    "operations": ("max_pool_3x3", "skip", "sep_conv_5x5", "atrous_conv_3x3"),
}


def test_loops_and_levels_of_recomputation_change_nothing(smooth):
    images, projection = make_batch(33, 33)
    results = []
    for forms in (
        {"recompute": "none", "unroll": True},
        {"recompute": "cell", "unroll": False},
        {"recompute": "layer", "unroll": True},
    ):
        supernet = make_supernet(**ALIKE_LAYERS, **forms)
        variables = supernet.trainable_variables

        @tf.function(autograph=False)
        def run(supernet=supernet, variables=variables):
            return logits_and_gradients(
                lambda: supernet(images, training=True), variables, projection
            )

        logits, gradients = run()
        moving = [variable.numpy() for variable in supernet.non_trainable_variables]
        results.append(
            [
                np.concatenate([np.ravel(value) for value in values])
                for values in ([logits], gradients, moving)
            ]
        )
    first, *others = results
    for other in others:
        for values, expected in zip(other, first, strict=True):
            assert relative_error(values, expected) < 1e-5


def test_the_graph_of_a_step_does_not_grow_with_the_layers():
    operations = []
    for layers in (5, 9):
        supernet = Supernet(CLASSES, **ALIKE_LAYERS | {"layers": layers})

        @tf.function(autograph=False)
        def gradients(images, projection, supernet=supernet):
            return logits_and_gradients(
                lambda: supernet(images, training=True), supernet.trainable_variables, projection
            )

        graph = gradients.get_concrete_function(*make_batch(33, 33)).graph.as_graph_def()
        operations.append(
            len(graph.node) + sum(len(function.node_def) for function in graph.library.function)
        )
    assert operations[0] == operations[1]


def test_unknown_level_of_recomputation_is_a_user_error():
    with pytest.raises(UserError, match=r"Supernet.recompute: received 'cells'; did you mean cell"):
        Supernet(CLASSES, recompute="cells")


def test_replicas_cannot_share_statistics_in_a_loop():
    with pytest.raises(UserError, match=r"expected Supernet\.unroll = True, too"):
        Supernet(CLASSES, synchronized_batch_norm=True)


def test_a_graph_for_any_size_gives_what_a_graph_for_one_size_gives():
    supernet = make_supernet(**ALIKE_LAYERS)
    any_size = tf.function(supernet, input_signature=[tf.TensorSpec([None, None, None, 3])])
    for height, width in ((33, 33), (40, 51)):
        images, _ = make_batch(height, width)
        logits = any_size(images)
        assert logits.shape == (BATCH, height, width, CLASSES)
        np.testing.assert_allclose(logits, tf.function(supernet)(images), atol=1e-4)


def test_freezing_leaves_the_other_gradients_as_they_are():
    supernet = make_supernet(**ALIKE_LAYERS | {"layers": 3, "blocks": 2})
    images, projection = make_batch(33, 33)
    architecture, network = supernet.architecture_variables, supernet.network_variables

    @tf.function(autograph=False)
    def gradients(frozen):
        with tf.GradientTape() as tape:
            logits = supernet(images, training=True, frozen=frozen)
            loss = tf.reduce_mean(tf.nn.softplus(logits) * projection)
        return tape.gradient(loss, [architecture, network])

    of_both = gradients(NOTHING_FROZEN)
    of_network = gradients(FROZEN_ARCHITECTURE)
    of_architecture = gradients(FROZEN_NETWORK)
    assert of_network[0] == [None, None]
    for frozen, free in zip(of_network[1], of_both[1], strict=True):
        np.testing.assert_allclose(frozen, free, rtol=1e-3, atol=1e-6)
    for frozen, free in zip(of_architecture[0], of_both[0], strict=True):
        np.testing.assert_allclose(frozen, free, rtol=1e-3, atol=1e-6)
    # Inside the trellis nothing is differentiated that the architecture's update does not use.
    for kernel in [node.kernels for s in supernet.trellis.segments for node in s.nodes]:
        position = [variable is kernel for variable in network].index(True)
        assert of_architecture[1][position] is None


def test_xla_compiles_the_architecture_update_once_for_all_images():
    supernet = make_supernet(layers=1, blocks=1, filters=4, strides=(4, 8))
    images, _ = make_batch(33, 33)

    @tf.function(jit_compile=True, autograph=False)
    def gradients(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(supernet(images, training=True, frozen=FROZEN_NETWORK))
        return tape.gradient(loss, supernet.architecture_variables)

    program = gradients.experimental_get_compiler_ir(images)(stage="hlo")
    arguments = re.findall(r"f32\[([\d,]*)\]\S* parameter", program[program.index("ENTRY") :])
    # What XLA has to know when it compiles, it compiles again for, and lists no argument.
    assert ",".join(map(str, images.shape)) in arguments


def test_architecture_weights_are_those_that_decoding_uses():
    supernet = make_supernet(layers=5, blocks=2, filters=4)
    relaxation = supernet.relaxation()
    np.testing.assert_allclose(
        tf.nn.softmax(supernet.alpha), relaxation.operation_weights(), rtol=1e-5
    )
    np.testing.assert_allclose(
        supernet.arc_weights(supernet.beta), relaxation.arc_weights(), rtol=1e-5
    )


def test_paper_setting_has_its_parts():
    supernet = Supernet(19)
    assert supernet.alpha.shape == (20, 8)
    assert supernet.beta.shape == (105,)
    assert [segment.depth for segment in supernet.trellis.segments] == [1, 1, 1, 1, 8]
    assert sum(len(segment.nodes) * segment.depth for segment in supernet.trellis.segments) == 45
    arcs = sum(sum(segment.arcs_of_nodes) * segment.depth for segment in supernet.trellis.segments)
    assert arcs == 105
    assert np.abs(supernet.alpha.numpy()).max() < 0.01
    assert np.abs(supernet.beta.numpy()).max() < 0.01
