"""The summary command against the published networks' numbers, and against itself."""

import functools
import json
import time

import pytest

from auto_deeplab.search_space import Branch, Genotype
from tests.helpers import output_of, run_command

# Filters, trainable parameters, multiply-adds of an image of 1024x2048, which is padded to
# 1025x2049.
PUBLISHED = [
    (20, 10_147_427, 320_450_382_392),
    (32, 21_622_451, 439_922_432_384),
    (48, 44_424_691, 662_424_364_896),
]

summary = functools.partial(run_command, "auto_deeplab.summary")


@pytest.mark.parametrize(
    ("filters", "parameters", "multiply_adds"),
    [PUBLISHED[0], *(pytest.param(*of_one, marks=pytest.mark.slow) for of_one in PUBLISHED[1:])],
)
def test_published_networks_have_exactly_the_published_sizes(filters, parameters, multiply_adds):
    network = ["--genotype=published", f"--filters={filters}", "--classes=19"]
    document = json.loads(output_of(summary(*network, "--image_size=1024x2048", "--json")))
    assert document["filters"] == filters
    assert document["image_size"] == [1024, 2048]
    assert document["parameters"] == parameters
    assert document["multiply_adds"] == multiply_adds
    parts = document["parts"]
    assert sum(part["parameters"] for part in parts) == parameters
    assert sum(part["multiply_adds"] for part in parts) == multiply_adds
    layers = [f"layer{layer}" for layer in range(1, 13)]
    assert [part["name"] for part in parts] == ["stem", *layers, "aspp", "decoder"]


@pytest.fixture
def genotype_file(tmp_path):
    cell = [[Branch("prev", "sep_conv_3x3"), Branch("prev", "skip")]]
    Genotype("mine", [4, 8], cell).save(tmp_path / "mine.json")
    return tmp_path / "mine.json"


def test_table_of_a_file_counted_by_hand(genotype_file):
    result = summary(
        f"--genotype={genotype_file}", "--filters=4", "--classes=2", "--image_size=9x17"
    )
    assert result.returncode == 0, result.stderr
    rows = {
        cells[0]: cells[1:]
        for line in result.stdout.splitlines()
        if len(cells := [cell.strip() for cell in line.strip("│").split("│")]) == 5
    }
    assert list(rows) == ["stem", "layer1", "layer2", "aspp", "decoder", "total"]
    # 9x17 -> 5x9 -> 3x5: three 3x3 convolutions, each with a batch norm of two weights a filter.
    half, quarter = 5 * 9, 3 * 5
    kernels = [9 * 3 * 64, 9 * 64 * 64, 9 * 64 * 128]
    stem = half * (kernels[0] + kernels[1]) + quarter * kernels[2]
    assert rows["stem"][:3] == ["4", f"{sum(kernels) + 2 * (64 + 64 + 128):,}", f"{stem:,}"]
    # 128 -> 4 channels, then twice a depthwise 3x3 and a pointwise convolution.
    kernels = [128 * 4, 9 * 4, 4 * 4, 9 * 4, 4 * 4]
    layer = [f"{sum(kernels) + 2 * 3 * 4:,}", f"{quarter * sum(kernels):,}"]
    assert rows["layer1"][:3] == ["4", *layer]
    assert rows["aspp"][0] == rows["layer2"][0] == "8"
    assert rows["total"][0] == rows["total"][3] == ""
    for column in (1, 2):
        values = [int(row[column].replace(",", "")) for row in rows.values()]
        assert sum(values[:-1]) == values[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--genotype: received nothing; expected a file or a name"),
        (["--genotype=publishd"], "did you mean published"),
        (["--genotype=published", "--image_size=1025"], "--image_size: received '1025'; expected"),
        (["--genotype=published", "--image_size=0x5"], "--image_size: received '0x5'; expected"),
        (["--genotype=published", "--filters=0"], "filters: received 0"),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    result = summary(*arguments)
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert message in lines[0]


def test_help_is_quick():
    start = time.perf_counter()
    result = summary("--help")
    assert time.perf_counter() - start < 3
    assert result.returncode == 0
    assert "python -m auto_deeplab.summary --genotype=published" in result.stdout
