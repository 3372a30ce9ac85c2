"""On what a command is to run; checked before TensorFlow is loaded."""

import dataclasses

from auto_deeplab.distribution.cluster import Cluster
from auto_deeplab.foundations.errors import UserError, argument, near_matches

DISTRIBUTIONS = {
    "none": "one device",
    "mirrored": "all GPUs of this machine",
    "multi_worker": "all GPUs of the hosts that the environment variable TF_CONFIG lists",
    "tpu": "the cores of a TPU",
}


@dataclasses.dataclass(frozen=True)
class Distribution:
    """On what to run.

    Args:
        name: One of `DISTRIBUTIONS`.
        tpu: With "tpu", the TPU's name; "local" for that of this machine.
        logical_cpus: With "mirrored", how many replicas share the processor; None for GPUs.

    Attributes:
        cluster: With "multi_worker", the processes that work together; else None.

    Raises:
        UserError: An argument is wrong or does not go with the name.
    """

    name: str = "none"
    tpu: str | None = None
    logical_cpus: int | None = None
    cluster: Cluster | None = dataclasses.field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.name not in DISTRIBUTIONS:
            raise UserError(
                f"{argument('distribution')}: received {self.name!r}"
                f"{near_matches(self.name, DISTRIBUTIONS)}"
            )
        for parameter, value, name in (
            ("tpu", self.tpu, "tpu"),
            ("logical_cpus", self.logical_cpus, "mirrored"),
        ):
            if value is not None and self.name != name:
                raise UserError(
                    f"{argument(parameter, value)}: received "
                    f"{argument('distribution', self.name)}; expected "
                    f"{argument('distribution', name)}, or no {argument(parameter)}"
                )
        if self.name == "tpu" and not self.tpu:
            raise UserError(
                f"{argument('tpu')}: received nothing with {argument('distribution', 'tpu')}; "
                "expected the TPU's name, or local for that of this machine"
            )
        if self.name == "multi_worker":
            object.__setattr__(self, "cluster", Cluster.from_environment())

    @property
    def is_chief(self) -> bool:
        """Whether this process writes; of several the first does."""
        return self.cluster is None or self.cluster.index == 0
