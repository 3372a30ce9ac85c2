import functools
import time
from xml.etree import ElementTree

import pytest

from auto_deeplab.runs.decode import decode_model_dir
from auto_deeplab.search_space import OPERATIONS, append_history
from tests.architectures import random_relaxation
from tests.helpers import run_command

draw = functools.partial(run_command, "auto_deeplab.draw")


def test_published(tmp_path):
    output = tmp_path / "published.png"
    result = draw("--genotype=published", f"--output={output}")
    assert result.returncode == 0, result.stderr
    assert output.read_bytes().startswith(b"\x89PNG")
    assert draw("--genotype=published", f"--output={output}").returncode == 1
    assert draw("--genotype=published", f"--output={output}", "--overwrite").returncode == 0


def test_the_path_alone(tmp_path):
    sizes = []
    for flag in ("--cell", "--nocell"):
        result = draw("--genotype=deeplabv3", f"--output={tmp_path}/{flag}.svg", flag)
        assert result.returncode == 0, result.stderr
        height = ElementTree.parse(tmp_path / f"{flag}.svg").getroot().get("height")
        sizes.append(float(height.removesuffix("pt")))
    assert sizes[1] < sizes[0] / 2


def test_a_search_and_the_genotype_it_gave_are_the_same_picture(tmp_path):
    for epoch in (1, 2):
        relaxation = random_relaxation(epoch, operations=OPERATIONS)
        append_history(tmp_path / "architecture.jsonl", epoch, epoch, relaxation)
    decode_model_dir(tmp_path)
    pictures = {}
    for name, arguments in {
        "search": [f"--model_dir={tmp_path}"],
        "genotype": [f"--genotype={tmp_path}/genotype.json"],
        "both": [f"--genotype={tmp_path}/genotype.json", f"--model_dir={tmp_path}"],
        "first": [f"--model_dir={tmp_path}", "--epoch=1"],
        "alpha": [f"--model_dir={tmp_path}", "--alpha"],
        "its alpha": [f"--genotype={tmp_path}/genotype.json", "--alpha"],
    }.items():
        output = tmp_path / f"{name}.svg"
        result = draw(*arguments, f"--output={output}")
        assert result.returncode == 0, result.stderr
        pictures[name] = output.read_bytes()
    assert pictures["search"] == pictures["genotype"] == pictures["both"]
    assert pictures["first"] != pictures["search"]
    assert pictures["alpha"] == pictures["its alpha"] != pictures["search"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--genotype=published"], "--output: received nothing; expected the file to write"),
        (
            ["--output=x.png"],
            "received nothing; expected --genotype=NAME_OR_FILE or --model_dir=DIR",
        ),
        (
            ["--genotype=published", "--output=x.gif"],
            "expected a name that ends with .pdf, .png or .svg",
        ),
        (
            ["--genotype=published", "--output=x.png", "--epoch=1"],
            "--epoch: received without --model",
        ),
        (["--genotype=published", "--output=x.png", "--alpha"], "--alpha: received --genotype=pub"),
        (
            ["--genotype=published", "--output=x.png", "--alpha", "--nocell"],
            "received --nocell; expected one of the two",
        ),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    result = draw(*arguments)
    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_help_is_quick():
    start = time.perf_counter()
    result = draw("--help")
    assert time.perf_counter() - start < 3
    assert result.returncode == 0
    assert "python -m auto_deeplab.draw --genotype=published" in result.stdout
