"""Values of gin files: what each parameter takes, and what is said of everything else."""

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import gin
import pytest
import tf_keras
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auto_deeplab.data import pipeline
from auto_deeplab.data.street_scenes import dataset
from auto_deeplab.foundations import gin_files
from auto_deeplab.foundations.configurable import (
    Count,
    PathText,
    Size,
    configurable,
    describe,
    external_configurable,
)
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models import deeplabv3plus
from auto_deeplab.models.final import network
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.training import runtime
from auto_deeplab.training.job import configured_job
from auto_deeplab.training.optimization import optimizers
from auto_deeplab.training.retrain import Retrain
from auto_deeplab.training.search import Search


@configurable(denylist=["given"])
def take(
    given: object = None,
    number: Count = 1,
    rate: Annotated[float, Gt(0), Le(1)] = 1.0,
    limit: Annotated[float, Ge(0), Lt(1)] | None = None,
    size: Count | Size = 1,
    flag: bool = False,
    word: Literal["cell", "layer"] = "cell",
    factors: Sequence[float] = (),
    function: Callable[[], str] | None = None,
    path: PathText = "here",
    anything=None,
):
    return {name: value for name, value in locals().items() if name != "given"}


@configurable
def make_number(value: int = 7):
    return value


class Library:
    def __init__(self, rate=0.5, count=3, label="a", eager=False, other=None, **more):
        if rate == 0.25 or more:
            raise ValueError(f"cannot\nwork with {rate} and {more}")
        self.values = (rate, count, label, eager, other)


external_configurable(Library, "tests", denylist=["label"])


@pytest.fixture
def load(tmp_path):
    """Makes bindings the configuration."""

    def load(*parameters):
        path = tmp_path / "values.gin"
        path.write_text("")
        gin_files.load(str(path), parameters)

    return load


def load_and_take(load, *parameters):
    load(*parameters)
    return take()


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("number = 3", 3),
        ("rate = 1", 1.0),
        ("limit = 0", 0.0),
        ("limit = None", None),
        ("size = 5", 5),
        ("size = [5, 6]", (5, 6)),
        ("flag = True", True),
        ("word = 'layer'", "layer"),
        ("factors = (1, 2.5)", (1.0, 2.5)),
        ("number = @make_number()", 7),
        ("path = '~/x'", "/home/somebody/x"),
        ("path = 'x~'", "x~"),
        ("anything = {'a': [1]}", {"a": [1]}),
    ],
)
def test_what_is_declared_is_taken_as_that_type(load, value, taken, monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    load(f"take.{value}")
    received = take()[value.split()[0]]
    assert received == taken
    assert type(received) is type(taken)
    if isinstance(taken, tuple):
        assert list(map(type, received)) == list(map(type, taken))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("number = 2.0", "received 2.0; expected a whole number of at least 1"),
        ("number = True", "received True; expected a whole number of at least 1"),
        ("number = '2'", "received '2'; expected a whole number of at least 1"),
        ("number = 0", "received 0; expected a whole number of at least 1"),
        (
            "number = 4294967296",
            "received 4294967296; expected a whole number from 1 to 2147483647",
        ),
        ("rate = 0", "received 0; expected a number above 0, to 1"),
        ("rate = True", "received True; expected a number above 0, to 1"),
        ("rate = 1e999", "received inf; expected a number above 0, to 1"),
        ("limit = 1.0", "received 1.0; expected a number from 0 to below 1, or None"),
        ("path = ''", "received ''; expected a path in quotes"),
        (r"path = 'a\0'", r"received 'a\x00'; expected a path in quotes"),
        (
            f"path = '{'a' * 256}'",
            f"received 'aaa{'a' * 34}...{'a' * 38}'; expected a path in quotes",
        ),
        ("flag = 1", "received 1; expected True or False"),
        ("word = 'cells'", "received 'cells'; did you mean cell?"),
        ("word = 3", "received 3; expected 'cell' or 'layer'"),
        ("factors = '1,2'", "received '1,2'; expected a list, each entry a number"),
        ("factors = 1.0", "received 1.0; expected a list, each entry a number"),
        ("factors = (1, '2')", "received (1, '2'); expected a list, each entry a number"),
        ("function = 'take'", "received 'take'; expected a function, such as @name, or None"),
        ("function = @make_number()", "received 7; expected a function, such as @name, or None"),
    ],
)
def test_anything_else_is_named_with_what_is_expected(load, value, message):
    with pytest.raises(UserError) as error:
        load_and_take(load, f"take.{value}")
    assert str(error.value) == f"take.{value.split()[0]}: {message}"


def test_all_wrong_values_are_named_at_once_and_nothing_is_called(load):
    with pytest.raises(UserError) as error:
        load("take.number = 0", "take.rate = 'x'", "a/b/take.flag = 3", "make_number.value = 1.0")
    assert [line.split(":")[0] for line in str(error.value).splitlines()] == [
        "take.number",
        "take.rate",
        "a/b/take.flag",
        "make_number.value",
    ]


def test_arguments_of_code_are_checked_as_gins_are():
    assert take(3, 4, rate=1)["rate"] == 1.0
    with pytest.raises(UserError) as error:
        take("any", 0, rate=2)
    assert [line.split(";")[0] for line in str(error.value).splitlines()] == [
        "take.number: received 0",
        "take.rate: received 2",
    ]
    with pytest.raises(TypeError, match="unexpected keyword argument 'nothing'"):
        take(nothing=1)


def test_macros_are_followed_and_those_that_need_themselves_reported(load):
    load("FIVE = 5", "SAME = %FIVE", "take.number = %SAME")
    assert take()["number"] == 5
    with pytest.raises(UserError, match=r"^take\.number: received %FIVE, which is 5\.0; expected"):
        load("FIVE = 5.0", "take.number = %FIVE")
    with pytest.raises(UserError, match=r"^A/macro\.value: received %B; .* not need itself"):
        load("A = %B", "B = %A", "take.number = %A")
    with pytest.raises(UserError, match=r"^take\.number: received @take\(\); .* not need itself$"):
        load("take.number = @take()")
    # In a scope that gives another value it would end.
    load("take.number = @inner/take()", "inner/take.number = 3")


def test_macros_that_stand_for_billions_of_values_are_refused_at_once(load):
    lines = [f"M{level} = (%M{level - 1}, %M{level - 1})" for level in range(1, 40)]
    with pytest.raises(
        UserError, match=r"^take\.number: received %M39, which is \(\(.*a whole number"
    ):
        load("M0 = 1", *lines, "take.number = %M39")


def test_what_gin_keeps_of_a_run_is_what_was_written(load):
    """The text is compared when the run is continued: 0 must not become 0.0."""
    load("take.limit = 0", "take.size = [5, 6]")
    take()
    assert "take.limit = 0\n" in gin.operative_config_str()
    assert "take.size = [5, 6]\n" in gin.operative_config_str()


def test_errors_of_what_gin_calls_are_as_they_were_raised(load):
    @configurable
    def fail_here(number: Count = 1):
        raise UserError("file: received that; expected this")

    load("take.anything = @fail_here()")
    with pytest.raises(UserError) as error:
        take()
    assert str(error.value) == "file: received that; expected this"


def test_parameters_of_libraries_have_the_types_of_their_defaults(load):
    load("Library.rate = 1", "Library.count = 2.5", "Library.other = 'any'")
    made = gin.get_configurable("tests.Library")()
    assert isinstance(made, Library)
    assert made.values == (1, 2.5, "a", False, "any")
    for value in ("rate = 'x'", "count = '3'", "eager = 0"):
        with pytest.raises(UserError, match=rf"^Library\.{value.split()[0]}: received "):
            load(f"Library.{value}")
    with pytest.raises(UserError, match="'label'"):
        load("Library.label = 'b'")


def test_what_a_library_refuses_is_a_user_error_that_names_the_values(load):
    for value, shown in (("rate = 0.25", "0.25"), ("more = 1", "1")):
        load(f"Library.{value}")
        with pytest.raises(UserError) as error:
            gin.get_configurable("tests.Library")()
        name = value.split()[0]
        assert str(error.value).startswith(f"@Library: received Library.{name} = {shown}; expected")
        assert "cannot work with" in str(error.value)


def test_descriptions_of_types():
    assert describe(int | None) == "a whole number, or None"
    assert describe(tuple[int, str]) == "(a whole number, a text in quotes)"
    assert describe(Annotated[Sequence[int], Ge(0)]).startswith("a list, each entry a whole")


FUNCTIONS = (
    Search,
    Retrain,
    Supernet,
    network.build_network,
    deeplabv3plus.build_deeplabv3plus,
    dataset.street_scenes,
    pipeline.open_records,
    pipeline.training_records,
    pipeline.training_batches,
    optimizers.sgd,
    runtime.configure_runtime,
    tf_keras.optimizers.legacy.Adam,
    tf_keras.optimizers.legacy.Adagrad,
    tf_keras.optimizers.legacy.Nadam,
    tf_keras.optimizers.legacy.RMSprop,
)
# Those that code gives, which a gin file may not.
DENIED = {"self", "given", "classes", "records", "input_context", "dataset_dir"}
DENIED |= {"split", "learning_rate", "kwargs"}


def parameters():
    """Returns (name of a configurable, parameter, default) of all that a gin file may bind."""
    found = []
    for function in FUNCTIONS:
        for parameter in inspect.signature(function).parameters.values():
            is_denied = parameter.name in DENIED
            if function is network.build_network:
                is_denied |= parameter.name == "genotype"
            if function is Supernet:
                is_denied |= parameter.name in {"auxiliary_skip", "has_temperature"}
            if function is Retrain and parameter.name == "learning_rate":
                is_denied = False
            if not is_denied:
                found.append((function.__name__, parameter.name, parameter.default))
    return found


PARAMETERS = parameters()
# Of parameters whose default is None or missing: what else they may be. A cost is no literal.
OTHERS = {
    "dataset": str, "genotype": str, "initial_model_dir": str, "gradient_clip_norm": float,
    "weight_average_decay": float, "validation_images": int, "input_size": tuple, "workers": int,
    "steps": int, "batch_size": int, "crop_size": (int, tuple),
    "image_pooling_window": (int, tuple), "head_batch_norm_epsilon": float, "head_initializer": str,
    "most_skips": int, "cost": (), "cost_target": float,
}  # fmt: skip


def is_of_kind(value, parameter, default):
    """Whether a literal is of the type that the default has, by Python's own rules."""
    if default is None or default is gin.REQUIRED:
        kinds = OTHERS[parameter]
        if value is None:
            return default is None
    elif callable(default):
        return False
    else:
        kinds = type(default)
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if isinstance(value, bool):
        return bool in kinds
    if float in kinds:
        return isinstance(value, float | int) and abs(value) < float("inf")
    if tuple in kinds and isinstance(value, tuple | list):
        return True
    return isinstance(value, kinds)


def test_every_parameter_takes_its_default(tmp_path):
    assert len(PARAMETERS) > 100
    assert {name for _, name, default in PARAMETERS if default in (None, gin.REQUIRED)} <= {*OTHERS}
    path = tmp_path / "defaults.gin"
    path.write_text(
        "".join(
            f"{name}.{parameter} = {default!r}\n"
            for name, parameter, default in PARAMETERS
            if default is None or isinstance(default, bool | int | float | str | tuple)
        )
    )
    gin_files.load(str(path))


LITERALS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-2, 5)
    | st.sampled_from([10**400, -(10**30), 2**31, 2**63, 1e300, -0.0, 5e-324])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.0, 0.5, 1.0, 2.0])
    | st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=6)
    | st.sampled_from(["", "2", "none", "train", "published", "skip", "~"])
    | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(parameter=st.sampled_from(PARAMETERS), value=LITERALS)
@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_value_is_of_the_declared_type_or_named_in_a_user_error(tmp_path, parameter, value):
    name, parameter, default = parameter
    path = tmp_path / "any.gin"
    path.write_text(f"{name}.{parameter} = {value!r}\n", encoding="utf-8")
    message = None
    try:
        gin_files.load(str(path))
    except UserError as error:
        message = str(error)
    if message is None:
        assert is_of_kind(value, parameter, default)
    else:
        assert message.startswith(f"{name}.{parameter}: received ")
        assert any(f"; {words}" in message for words in ("expected ", "did you mean ", "known: "))
        assert " at 0x" not in message


BASES = {
    "Search": "include 'base/search.gin'\nSearch.dataset = 'x'\n",
    "Retrain": (
        "include 'base/retrain.gin'\nRetrain.dataset = 'x'\nRetrain.genotype = 'published'\n"
    ),
}
JOBS = [entry for entry in PARAMETERS if entry[0] in BASES]


@given(parameter=st.sampled_from(JOBS), value=LITERALS)
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_job_is_made_of_any_value_with_its_declared_type_or_not_at_all(
    tmp_path, parameter, value
):
    name, parameter, default = parameter
    path = tmp_path / "job.gin"
    path.write_text(f"{BASES[name]}{name}.{parameter} = {value!r}\n", encoding="utf-8")
    message = None
    try:
        gin_files.load(str(path))
        with gin_files.explaining_calls():
            made = getattr(configured_job(), parameter)
    except UserError as error:
        message = str(error)
    if message is not None:
        assert f"{name}.{parameter}" in message
    else:
        kind = OTHERS[parameter] if default in (None, gin.REQUIRED) else type(default)
        assert type(made) is kind or (made is None and default is None)
