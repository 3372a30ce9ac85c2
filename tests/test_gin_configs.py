"""Every gin file of the project: its values, and two steps of what it describes, made small."""

import re
from pathlib import Path

import gin
import numpy as np
import pytest
import tensorflow as tf

from auto_deeplab.data.datasets import cityscapes
from auto_deeplab.foundations import gin_files
from auto_deeplab.runs.model_dir import ModelDir
from auto_deeplab.search_space import Branch, Genotype
from auto_deeplab.training import runtime  # noqa: F401 (registers what every file configures)
from auto_deeplab.training.job import configured_job
from tests.datasets import png_example, write_dataset

FOLDER = gin_files.GIN_FOLDER
FILES = sorted(path.name for path in FOLDER.glob("*.gin"))

# Look-alikes of what the converters write: where, its number of classes, and its splits.
DATASETS = {
    "cityscapes": (cityscapes.CLASSES, ("train", "val")),
    "cityscapes_half": (cityscapes.CLASSES, ("train", "val")),
    "cityscapes_coarse": (cityscapes.CLASSES, ("train_extra", "val")),
    "voc2012_aug": (tuple(f"v{i}" for i in range(21)), ("train_aug", "val")),
    "coco_voc": (tuple(f"v{i}" for i in range(21)), ("train", "val")),
    "ade20k": (tuple(f"a{i}" for i in range(150)), ("train", "val")),
}

SMALL_RETRAINING = (
    "Retrain.steps = 2",
    "Retrain.batch_size = 2",
    "Retrain.validation_images = 1",
    "training_batches.crop_size = 33",
    "build_network.filters = 4",
    "build_network.aspp_filters = 4",
    "build_network.decoder_filters = 4",
)
# Of four examples two are trainA: with a batch of one, an epoch has two steps.
SMALL_SEARCH = (
    "Search.epochs = 1",
    "Search.warm_up_epochs = 0",
    "Search.batch_size = 1",
    "Search.validation_images = 1",
    "training_batches.crop_size = 33",
    "Supernet.layers = 2",
    "Supernet.strides = (4, 8)",
    "Supernet.blocks = 1",
    "Supernet.filters = 4",
)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a look-alike of every data set, where the gin files expect them."""
    folder = tmp_path_factory.mktemp("workplace")
    rng = np.random.default_rng(0)
    for name, (classes, splits) in DATASETS.items():
        dataset = folder / "datasets" / name
        palette = rng.integers(0, 256, [len(classes), 3]).tolist()
        examples = {
            split: [
                png_example(
                    f"{index}.png",
                    rng.integers(0, 256, [29, 40, 3], np.uint8),
                    rng.integers(0, len(classes), [29, 40]).astype(np.uint8),
                )
                for index in range(count)
            ]
            for split, count in zip(splits, (4, 2), strict=True)
        }
        write_dataset(dataset, name, examples, classes, palette)
    cell = ((Branch("prev", "sep_conv_3x3"), Branch("prev_prev", "skip")),)
    Genotype("small", (4, 8), cell).save(folder / "small.json")
    return folder


@pytest.fixture(scope="module")
def trained():
    """The folder of each training in the workplace, by its configuration."""
    return {}


@pytest.fixture
def eager():
    """Building the graphs would take longer than the few steps that they are run for."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def train(name, trained, depth, capsys):
    """Runs two steps of a file's job and returns its folder.

    Made small, many files are the same, such as those of several numbers of filters: what is
    configured alike is trained once.

    Args:
        name: The gin file's.
        trained: The folder of each training so far, by its configuration.
        depth: Of the baseline's ResNet.
        capsys: What it prints.
    """
    gin_files.load(name)
    job = configured_job()
    kind = gin.query_parameter("configured_job.job").selector
    parameters = {"Search": SMALL_SEARCH, "Retrain": SMALL_RETRAINING}[kind]
    if callable(job.dataset):
        # Drawing street scenes has its own tests.
        parameters += (f"{kind}.dataset = 'datasets/cityscapes'",)
    if job.has_genotype:
        parameters += ("Retrain.genotype = 'small.json'",)
    elif kind == "Retrain":
        parameters += (f"build_deeplabv3plus.depth = {depth}",)
    if source := getattr(job, "initial_model_dir", None):
        source_dir = train(f"{Path(source).name}.gin", trained, depth, capsys)
        parameters += (f"Retrain.initial_model_dir = '{source_dir.path}'",)
    gin_files.load(name, parameters)
    configuration = gin.config_str()
    if configuration not in trained:
        trained[configuration] = ModelDir(Path("runs", Path(name).stem))
        configured_job().train(trained[configuration], tf.distribute.get_strategy())
        if source:
            message = f"starting from the weights of step 2 of {source_dir.path}"
            assert message in capsys.readouterr().out
    return trained[configuration]


@pytest.mark.parametrize("name", FILES)
def test_two_small_steps(name, workplace, trained, shallow_resnet, monkeypatch, eager, capsys):
    monkeypatch.chdir(workplace)
    model_dir = train(name, trained, shallow_resnet, capsys)
    metrics = model_dir.read_metrics()[-1]
    assert metrics["step"] == 2
    assert np.isfinite(metrics["loss"])
    assert 0 <= metrics["val_mean_iou"] <= 1


BINDING = re.compile(r"^([\w./]+)\s*=\s*([^#]*?)\s*(?:#.*)?$")


def bindings(path):
    """Returns (name, value text, file) of a file and of what it includes, in their order."""
    found = []
    for line in path.read_text().splitlines():
        if match := re.match(r"include '(.+)'", line):
            found += bindings(FOLDER / match[1])
        elif match := BINDING.match(line):
            found.append((match[1], match[2], path.name))
    return found


@pytest.mark.parametrize("name", FILES)
def test_no_value_is_given_twice(name):
    values = {}
    for parameter, value, file in bindings(FOLDER / name):
        assert values.get(parameter) != value, f"{file}: {parameter} has that value already"
        values[parameter] = value


# The paper's section 5.2: data set, crop, steps, F, whether paths are dropped.
PAPER = {
    "retrain_cityscapes_s": ("cityscapes", 769, 1_500_000, 20, True),
    "retrain_cityscapes_m": ("cityscapes", 769, 1_500_000, 32, True),
    "retrain_cityscapes_l": ("cityscapes", 769, 1_500_000, 48, True),
    "retrain_cityscapes_s_no_drop_path_500k": ("cityscapes", 769, 500_000, 20, False),
    "retrain_cityscapes_s_no_drop_path_1m": ("cityscapes", 769, 1_000_000, 20, False),
    "retrain_cityscapes_s_no_drop_path_1500k": ("cityscapes", 769, 1_500_000, 20, False),
    "retrain_cityscapes_coarse_s": ("cityscapes", 769, 1_500_000, 20, True),
    "retrain_cityscapes_coarse_l": ("cityscapes", 769, 1_500_000, 48, True),
    "retrain_voc2012_s": ("voc2012_aug", 513, 1_500_000, 20, True),
    "retrain_voc2012_m": ("voc2012_aug", 513, 1_500_000, 32, True),
    "retrain_voc2012_l": ("voc2012_aug", 513, 1_500_000, 48, True),
    "retrain_coco_s": ("coco_voc", 513, 4_000_000, 20, True),
    "retrain_coco_m": ("coco_voc", 513, 4_000_000, 32, True),
    "retrain_coco_l": ("coco_voc", 513, 4_000_000, 48, True),
    "retrain_voc2012_from_coco_s": ("voc2012_aug", 513, 1_500_000, 20, True),
    "retrain_voc2012_from_coco_m": ("voc2012_aug", 513, 1_500_000, 32, True),
    "retrain_voc2012_from_coco_l": ("voc2012_aug", 513, 1_500_000, 48, True),
    "retrain_ade20k_s": ("ade20k", 513, 4_000_000, 20, True),
    "retrain_ade20k_m": ("ade20k", 513, 4_000_000, 32, True),
    "retrain_ade20k_l": ("ade20k", 513, 4_000_000, 48, True),
}


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_values(name):
    gin_files.load(f"{name}.gin")
    job = configured_job()
    dataset, crop, steps, filters, drops_paths = PAPER[name]
    assert (job.dataset, job.steps) == (f"datasets/{dataset}", steps)
    assert gin.query_parameter("training_batches.crop_size") == crop
    assert gin.query_parameter("build_network.filters") == filters
    assert ("build_network.final_keep_prob" in gin.config_str()) == drops_paths
    assert (job.genotype, job.batch_size) == ("published", 16)
    assert (job.learning_rate, job.learning_rate_power) == (0.05, 0.9)
    assert gin.query_parameter("sgd.momentum") == 0.9
    assert gin.query_parameter("build_network.batch_norm_momentum") == 0.9997
    assert gin.query_parameter("build_network.batch_norm_epsilon") == 1e-3
    assert gin.query_parameter("build_network.head_batch_norm_epsilon") == 1e-5
    assert gin.query_parameter("build_network.backbone_initializer") == "third_fan_in_uniform"
    assert gin.query_parameter("build_network.head_initializer") == "glorot_uniform"
    assert gin.query_parameter("build_network.aspp_dropout") == 0.1
    assert gin.query_parameter("training_batches.scales") == (
        0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0,
    )  # fmt: skip
    # What the paper does not use is off.
    assert (job.warm_up_steps, job.label_smoothing, job.hard_pixel_share) == (0, 0.0, 1.0)
    assert (job.gradient_clip_norm, job.weight_average_decay) == (None, None)
    assert job.last_layer_multiplier == 1.0


def test_the_papers_search_crops_and_does_nothing_else():
    gin_files.load("search_cityscapes.gin")
    assert gin.query_parameter("training_batches.crop_size") == 321
    assert gin.query_parameter("training_batches.scales") == (1.0,)
    assert gin.query_parameter("training_batches.flip") is False


def test_the_page_of_the_papers_results_names_files_that_exist_and_their_steps():
    text = (FOLDER.parent / "docs" / "paper_results.md").read_text()
    rows = re.findall(r"\| `(\w+)\.gin` \| .*\| ([\d.]+[KM]) \|", text)
    factors = {"K": 1_000, "M": 1_000_000}
    steps = {name: round(float(count[:-1]) * factors[count[-1]]) for name, count in rows}
    assert steps == {name: values[2] for name, values in PAPER.items()}
    for name in re.findall(r"--gin_file=(\w+\.gin)|`(\w+\.gin)`", text):
        assert (FOLDER / "".join(name)).is_file(), name
