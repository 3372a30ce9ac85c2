"""Functions that are built once for all calls alike, with a choice of what the gradient keeps."""

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf


class SharedFunction:
    """A function of tensors, traced once for all calls with the same shapes.

    All layers of the supernet evaluate the same few nodes with other kernels. Traced for each of
    them, the graph would be ten times larger, and so would be the time and the memory that it takes
    to build and to start.

    Args:
        function: Called as `function(inputs, sizes)`; returns outputs and statistics, each a tensor
            or a structure of them. Nothing is differentiated through the statistics.
        name: Of the operations' scope, by which profiles tell functions apart.
        recompute: Keep only the inputs for the gradient, and evaluate the function again there;
            else keep all that the gradient reads.
        is_traced: Whether it is built once for all calls; else each call builds its operations in
            the caller's graph. Replicas cannot meet within a function of its own.
    """

    def __init__(
        self,
        function: Callable[..., tuple],
        name: str,
        recompute: bool,
        is_traced: bool = True,
    ):
        self.name = name
        self.recompute = recompute
        self.is_traced = is_traced
        self._function = function
        self._evaluate = self._evaluate_untraced
        self._gradient = self._gradient_untraced
        if is_traced:
            self._evaluate = _function(self._evaluate)
            self._gradient = _function(self._gradient)

    def __call__(self, inputs: NamedTuple, sizes: Any, constant: NamedTuple) -> tuple:
        """Returns the function's outputs and statistics.

        Args:
            inputs: Tensors, or structures of them.
            sizes: Heights and widths, numbers where they are known.
            constant: Of the same fields: whether to spare the gradient of it.
        """
        if not self.recompute:
            return self._evaluate(inputs, sizes, constant)
        structure = None

        @tf.custom_gradient
        def evaluate(*flat: tf.Tensor):
            nonlocal structure
            given = tf.nest.pack_sequence_as(inputs, flat)
            structure = self._evaluate(given, sizes, None)
            outputs = tf.nest.flatten(structure[0])

            def gradient(*upstream: tf.Tensor):
                again = given
                if not self.is_traced:
                    # So that it is done in its time, and not found to have been done before.
                    with tf.control_dependencies(upstream):
                        again = tf.nest.map_structure(tf.identity, given)
                gradients = self._gradient(again, sizes, constant, upstream[: len(outputs)])
                none = tf.nest.map_structure(lambda _: None, given)
                return tf.nest.flatten(none._replace(**gradients))

            return tf.nest.flatten(structure), gradient

        results = evaluate(*tf.nest.flatten(inputs))
        return tf.nest.pack_sequence_as(structure, results)

    def _evaluate_untraced(self, inputs, sizes, constant):
        if constant is not None:
            stopped = {
                name: tf.nest.map_structure(tf.stop_gradient, value)
                for name, value in inputs._asdict().items()
                if getattr(constant, name)
            }
            inputs = inputs._replace(**stopped)
        with tf.name_scope(self.name):
            return self._function(inputs, sizes)

    def _gradient_untraced(self, inputs, sizes, constant, upstream):
        variable = {
            name: value for name, value in inputs._asdict().items() if not getattr(constant, name)
        }
        with tf.name_scope(self.name):
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(tf.nest.flatten(variable))
                outputs, _ = self._function(inputs, sizes)
            return tape.gradient(tf.nest.flatten(outputs), variable, list(upstream))


def _function(python_function):
    # TensorFlow would copy what it calls into the graph of the step, once for each call.
    return tf.function(
        python_function, autograph=False, experimental_attributes={"_noinline": True}
    )
