"""The distribution strategies of TensorFlow that stand behind the names of distributions."""

import socket
from urllib.parse import urlsplit

import tensorflow as tf

from auto_deeplab.distribution.cluster import Cluster
from auto_deeplab.distribution.settings import Distribution
from auto_deeplab.foundations.errors import UserError, argument


def make_strategy(distribution: Distribution) -> tf.distribute.Strategy:
    """Returns the strategy; with several workers, when all of them have come.

    Call it before TensorFlow's first operation.

    Raises:
        UserError: There is no such device, or the port of this worker is taken.
    """
    return _MAKERS[distribution.name](distribution)


def _none(distribution: Distribution) -> tf.distribute.Strategy:
    return tf.distribute.get_strategy()


def _mirrored(distribution: Distribution) -> tf.distribute.Strategy:
    if distribution.logical_cpus is not None:
        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * distribution.logical_cpus
        )
    elif not tf.config.list_physical_devices("GPU"):
        raise UserError(
            f"{argument('distribution', 'mirrored')}: TensorFlow sees no GPU on this machine "
            f"(docs/one_gpu.md); expected at least one, or {argument('logical_cpus', 2)} to try it "
            "on the processor"
        )
    # Named, as the strategy itself would look for those of TF_CONFIG.
    devices = tf.config.list_logical_devices("CPU" if distribution.logical_cpus else "GPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


def _multi_worker(distribution: Distribution) -> tf.distribute.Strategy:
    del distribution
    cluster = Cluster.from_environment()
    addresses = cluster.addresses
    # TensorFlow says no more than that its server did not start.
    cluster.check_port()
    print(
        f"worker {cluster.index} of {len(addresses)}: waiting for all of {', '.join(addresses)}",
        flush=True,
    )
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    # All batches are whole: to ask all workers before each step would be a round trip for nothing.
    strategy.extended.experimental_enable_get_next_as_optional = False
    return strategy


def _tpu(distribution: Distribution) -> tf.distribute.Strategy:
    resolvers = tf.distribute.cluster_resolver.TPUClusterResolver
    try:
        address = urlsplit(resolvers(distribution.tpu).master())
        if address.hostname:
            # TensorFlow would wait for it without an end.
            socket.create_connection((address.hostname, address.port), timeout=30).close()
        resolver = resolvers.connect(distribution.tpu)
    # Whatever stands between here and a TPU: no driver, no such name, no network.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{argument('tpu', distribution.tpu)}: no TPU answers ({type(error).__name__}: "
            f"{reason[:300]}); expected the name of a TPU, or local on a TPU VM with "
            "tensorflow-tpu installed: docs/cloud_tpu.md"
        ) from error
    return tf.distribute.TPUStrategy(resolver)


_MAKERS = {"none": _none, "mirrored": _mirrored, "multi_worker": _multi_worker, "tpu": _tpu}
