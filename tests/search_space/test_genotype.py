import itertools
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auto_deeplab.foundations.errors import UserError
from auto_deeplab.search_space import (
    OPERATIONS,
    PRESETS,
    Branch,
    Genotype,
    GenotypeError,
    TrellisGraph,
)
from tests.helpers import output_of, run_new_python

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=8,
)  # fmt: skip


@st.composite
def genotypes(draw):
    network = []
    for _ in range(draw(st.integers(1, 12))):
        before = network[-1] if network else 4
        steps = [s for s in (before // 2, before, 2 * before) if 1 <= s <= 256]
        network.append(draw(st.sampled_from(steps)))
    cell = [
        [
            Branch(
                draw(
                    st.sampled_from(["prev_prev", "prev", *(f"block{e}" for e in range(1, block))])
                ),
                draw(st.sampled_from(OPERATIONS)),
            )
            for _ in range(2)
        ]
        for block in range(1, draw(st.integers(1, 6)) + 1)
    ]
    provenance = draw(st.none() | st.dictionaries(st.text(), JSON_VALUES, max_size=4))
    return Genotype(draw(st.text(min_size=1).filter(str.strip)), network, cell, provenance)


def published():
    return json.loads(Genotype.load("published").to_json())


@settings(deadline=None, max_examples=100)
@given(genotypes())
def test_json_round_trip(genotype):
    text = genotype.to_json()
    again = Genotype.from_json(text)
    assert again == genotype
    assert again.to_json() == text


@settings(deadline=None, max_examples=25)
@given(genotypes())
def test_file_round_trip(tmp_path_factory, genotype):
    path = tmp_path_factory.mktemp("genotype") / "deeper" / "genotype.json"
    genotype.save(path)
    assert Genotype.load(path) == genotype
    assert os.listdir(path.parent) == ["genotype.json"]


def test_published_is_the_papers_network():
    genotype = Genotype.load("published")
    assert genotype.network == (4, 4, 4, 8, 16, 8, 16, 16, 32, 32, 16, 8)
    assert len(genotype.cell) == 5
    assert genotype.cell[4] == (("block2", "sep_conv_5x5"), ("block4", "atrous_conv_5x5"))


def changes(network):
    """The strides that a path comes through, from the stem on, each once while it stays."""
    return [stride for stride, _ in itertools.groupby((4, *network))]


def test_figure_2_paths_are_of_the_papers_trellis_with_the_published_cell():
    trellis = TrellisGraph()
    down_and_up = [4, 8, 16, 32, 16, 8, 4]
    for name, through in {
        "deeplabv3": [4, 8, 16],
        "conv_deconv": down_and_up,
        "stacked_hourglass": down_and_up + down_and_up[1:],
    }.items():
        genotype = Genotype.load(name)
        assert changes(genotype.network) == through
        assert genotype.cell == Genotype.load("published").cell
        assert len(genotype.network) == 12
        for layer, arc in enumerate(itertools.pairwise((4, *genotype.network)), start=1):
            assert (layer, *arc) in trellis.arcs
    mirrored = Genotype.load("conv_deconv").network
    assert mirrored == mirrored[::-1]


def test_there_is_one_way_down_and_up_twice_in_12_layers():
    # It takes every one of them.
    assert len(changes(Genotype.load("stacked_hourglass").network)) == 1 + 12


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_know_their_name(name):
    genotype = Genotype.load(name)
    assert genotype.name == name
    assert Genotype.from_json(genotype.to_json()) == genotype


def test_a_genotype_can_be_a_key():
    assert len({Genotype.load("published"), Genotype.load("published")}) == 1


def test_saving_keeps_an_existing_file(tmp_path):
    path = tmp_path / "genotype.json"
    path.write_text("precious")
    with pytest.raises(UserError, match=r"genotype\.json: exists already"):
        Genotype.load("published").save(path)
    assert path.read_text() == "precious"
    Genotype.load("published").save(path, overwrite=True)
    assert Genotype.load(path) == Genotype.load("published")


def set_at(document, keys, value):
    for key in keys[:-1]:
        document = document[key]
    document[keys[-1]] = value


# What is wrong, by the keys on the way to it; the field that the message names; its text.
WRONG = [
    (["format"], 2, "format", "received 2; expected 1"),
    (["format"], True, "format", "received True"),
    (["name"], "", "name", "received ''"),
    (["name"], 7, "name", "received 7"),
    (["name"], "a\ud800", "name", "without lone surrogates"),
    (["network"], [], "network", "at least one"),
    (["network"], "4, 4", "network", "expected a list of strides"),
    (["network", 0], 16, "network[0]", r"received 16; expected one of \[2, 4, 8\], as the stem"),
    (["network", 3], 16, "network[3]", r"received 16; expected one of \[2, 4, 8\], as the layer"),
    (["network", 3], 6, "network[3]", "received 6; expected a power of two"),
    (["network", 3], 8.0, "network[3]", r"received 8\.0; expected a power of two"),
    (["network", 3], "8", "network[3]", "received '8'"),
    (["network", 3], None, "network[3]", "received None"),
    (["network", 3], 0, "network[3]", "received 0"),
    (["network", 3], -8, "network[3]", "received -8"),
    (["network", 3], True, "network[3]", "received True"),
    (["network"], [4] * 101, "network", "expected at most 100 strides, not 101"),
    (["network"], [8 << i for i in range(60)], "network[6]", "received 512; .*at most 256"),
    (["cell"], [], "cell", "at least one"),
    (["cell"], [[]] * 21, "cell", "expected at most 20 blocks, not 21"),
    (["cell"], {}, "cell", "expected a list of blocks"),
    (["cell", 2], None, "cell[2]", "expected a list of branches"),
    (["cell", 2], [{"input": "prev", "op": "skip"}] * 3, "cell[2]", "2 branches, not 3"),
    (["cell", 2], [{"input": "prev", "op": "skip"}], "cell[2]", "2 branches, not 1"),
    (["cell", 2, 1], "skip", "cell[2][1]", "expected an object with input, op"),
    (["cell", 2, 1], {"input": "prev"}, "cell[2][1].op", "the key is missing"),
    (["cell", 2, 1, "op"], "sep_conv_7x7", "cell[2][1].op", "received 'sep_conv_7x7'; expected"),
    (["cell", 2, 1, "op"], 4, "cell[2][1].op", "received 4; expected one of none, max_pool_3x3"),
    (["cell", 2, 1, "op"], ["skip"], "cell[2][1].op", "received"),
    (["cell", 2, 1, "input"], "block3", "cell[2][1].input", "one of prev_prev, prev, block1, b"),
    (["cell", 2, 1, "input"], "block0", "cell[2][1].input", "received 'block0'"),
    (["cell", 2, 1, "weight"], 3, "cell[2][1].weight", "unknown key"),
    (["netwrk"], [4], "netwrk", "unknown key; did you mean network"),
    (["a\nb"], 1, r"'a\nb'", "unknown key"),
    (["provenance"], [], "provenance", "expected an object"),
    (["provenance"], "x", "provenance", "expected an object"),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "value", "field", "message"), WRONG)
def test_rejected_files_name_file_field_and_value(tmp_path, keys, value, field, message):
    document = published()
    set_at(document, keys, value)
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(document))
    with pytest.raises(GenotypeError, match=message) as error:
        Genotype.load(path)
    assert error.value.field == field
    assert str(error.value).startswith(f"{path}: {field}: received ")


@pytest.mark.parametrize("key", ["format", "name", "network", "cell"])
def test_missing_keys(key):
    document = published()
    del document[key]
    with pytest.raises(GenotypeError, match=f"mine.json: {key}: .*missing"):
        Genotype.from_json(json.dumps(document), source="mine.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected JSON"),
        ("{", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ("[]", "expected an object"),
        ('{"format": 1, "format": 1}', "format: received 1; the key appears twice"),
        ('{"provenance": {"loss": NaN}}', "received 'NaN'; expected finite"),
        ('{"format": ' + "9" * 5000 + "}", "format: received '99.*; expected JSON"),
        ('{"provenance": {"loss": 1e999}}', r"provenance\.loss: received '1e999'; expected finite"),
    ],
)
def test_text_that_is_no_genotype(text, message):
    with pytest.raises(GenotypeError, match=message) as error:
        Genotype.from_json(text, source="mine.json")
    assert str(error.value).startswith("mine.json: ")
    assert len(str(error.value)) < 400


def paths_into(value, prefix=()):
    """The keys on the way to every value of a JSON document."""
    yield prefix
    children = enumerate(value) if isinstance(value, list) else ()
    if isinstance(value, dict):
        children = value.items()
    for key, child in children:
        yield from paths_into(child, (*prefix, key))


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_any_change_to_a_file_is_read_exactly_or_rejected(data):
    document = published()
    keys = data.draw(st.sampled_from([keys for keys in paths_into(document) if keys]))
    value = data.draw(
        JSON_VALUES | st.sampled_from([1, 2, 4, 8, 16, 32, 64, "prev", "block1", "block4", "skip"])
    )
    set_at(document, keys, value)
    error = None
    try:
        genotype = Genotype.from_json(json.dumps(document), source="mine.json")
    except GenotypeError as rejection:
        error = rejection
    if error is None:
        assert json.loads(genotype.to_json()) == document
    else:
        assert str(error).startswith(f"mine.json: {error.field}: received ")


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=30))
def test_any_text_is_rejected(text):
    with pytest.raises(GenotypeError, match=r"mine\.json: "):
        Genotype.from_json(text, source="mine.json")


def test_load_of_what_does_not_exist(tmp_path):
    with pytest.raises(GenotypeError, match="neither a file nor a preset; did you mean published"):
        Genotype.load("publishd")
    with pytest.raises(GenotypeError, match=r"is a folder; expected .*genotype\.json"):
        Genotype.load(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(GenotypeError, match=r"binary: .*expected UTF-8"):
        Genotype.load(tmp_path / "binary")


def test_wrong_python_values():
    cell = [[("prev", "skip"), ("prev", "skip")]]
    with pytest.raises(GenotypeError, match=r"provenance: .*expected JSON values"):
        Genotype("x", [4], cell, {"alpha": object()})
    with pytest.raises(GenotypeError, match=r"provenance: .*expected JSON values"):
        Genotype("x", [4], cell, {"loss": float("nan")})
    with pytest.raises(GenotypeError, match=r"cell\[0\]\[1\]: .*an input and an operation"):
        Genotype("x", [4], [[("prev", "skip"), ("prev",)]])
    with pytest.raises(GenotypeError, match=r"provenance\.seed: .*expected JSON values"):
        Genotype("x", [4], cell, {"seed": 10**40})
    assert Genotype("x", [4], cell, {"a": (1, 2)}).provenance == {"a": [1, 2]}


def test_a_long_list_is_refused_before_anything_is_made_of_it():
    branches = [("prev", "skip"), ("prev", "skip")]
    with pytest.raises(GenotypeError, match=r"network: received .*, not 1,000,000$"):
        Genotype("x", [4] * 1_000_000, [branches])
    with pytest.raises(GenotypeError, match=r"cell: received .*, not 1,000,000$"):
        Genotype("x", [4], [branches] * 1_000_000)


def test_search_space_imports_no_tensorflow():
    code = (
        "import sys, auto_deeplab.search_space; "
        "print([m for m in sys.modules if m in ('tensorflow', 'keras', 'tf_keras', 'gin')])"
    )
    assert output_of(run_new_python("-c", code)).strip() == "[]"
