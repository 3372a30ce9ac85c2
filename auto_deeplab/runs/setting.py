"""What trainings have in common whose figures are to be compared."""

from collections.abc import Collection

from auto_deeplab.foundations import gin_files


def comparable_values(config: str, own: Collection[str]) -> dict[str, str]:
    """Returns the values of a gin configuration, but for those that each training has of its own.

    Args:
        config: In gin's language.
        own: What is left out: parameters, such as "Retrain.seed", and configurables as a whole,
            such as "configure_runtime".

    Returns:
        Each value as text, by the parameter's name without modules, in the order of the names.

    Raises:
        UserError: The configuration is none.
    """
    values: dict[str, str] = {}
    for binding in gin_files.read_bindings(config, "the gin configuration"):
        configurable = binding.configurable.rpartition(".")[2]
        name = f"{configurable}.{binding.parameter}" if binding.parameter else configurable
        if name not in own and configurable not in own:
            values[f"{binding.scope}/{name}" if binding.scope else name] = repr(binding.value)
    return dict(sorted(values.items()))
