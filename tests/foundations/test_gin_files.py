import gin
import pytest

from auto_deeplab.foundations import gin_files
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.models.supernet.supernet import Supernet
from auto_deeplab.search_space import OPERATIONS
from auto_deeplab.training import runtime  # noqa: F401 (registers what every file configures)
from auto_deeplab.training.job import configured_job

BASE = "include 'base/search.gin'\n"


@pytest.fixture
def write(tmp_path):
    def write_gin_file(text):
        path = tmp_path / "mine.gin"
        path.write_text(text)
        return str(path)

    return write_gin_file


def test_finds_files_as_given_and_among_those_of_the_project(write):
    assert gin_files.find("search.gin") == str(gin_files.GIN_FOLDER / "search.gin")
    path = write("")
    assert gin_files.find(path) == path


def test_an_unknown_file_lists_near_matches(write, tmp_path):
    with pytest.raises(UserError, match=r"^gin_file: received 'serch\.gin', .* mean search\.gin"):
        gin_files.find("serch.gin")
    write("")
    with pytest.raises(UserError, match=r"did you mean \S*/mine\.gin"):
        gin_files.find(str(tmp_path / "mien.gin"))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (BASE + "Serch.epochs = 3", ["line 2", "'Serch'", "did you mean Search?"]),
        (BASE + "Search.epoch = 3", ["line 2", "'epoch'", "did you mean epochs"]),
        (BASE + "Supernet.layer = 3", ["'layer'", "did you mean layers"]),
        (BASE + "configured_job.job = @Serch()", ["'@Serch()'", "did you mean Search?"]),
        ("include 'base/serch.gin'", ["base/serch.gin", "did you mean base/search.gin"]),
        (
            "import auto_deeplab.training.serch",
            ["auto_deeplab.training.serch", "did you mean auto_deeplab.training.search"],
        ),
        ("import auto_deeplb.training.search", ["'auto_deeplb'", "did you mean auto_deeplab?"]),
        (BASE + "Search.epochs =", ["line 2"]),
        (BASE + "Search.dataset = %folder", ["'folder/gin.macro'"]),
    ],
)
def test_a_wrong_name_is_reported_in_one_line(write, text, parts):
    path = write(text)
    with pytest.raises(UserError) as error:
        gin_files.load(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("parameter", "part"),
    [
        ("Search.epoks = 3", "did you mean epochs"),
        ("Serch.epochs = 3", "did you mean Search?"),
        ("Search.epochs", "expected"),
        ("Search.dataset = datasets/unquoted", "parse"),
    ],
)
def test_a_wrong_parameter_is_reported(parameter, part):
    with pytest.raises(UserError, match=part):
        gin_files.load("search_cityscapes.gin", [parameter])


def test_parameters_win_over_the_file_and_do_not_outlive_it():
    gin_files.load("search_cityscapes.gin", ["Search.epochs = 3", "Search.warm_up_epochs = 1"])
    job = configured_job()
    assert (job.epochs, job.warm_up_epochs, job.batch_size) == (3, 1, 2)
    gin_files.load("search_cityscapes.gin")
    assert configured_job().epochs == 40


def test_missing_values_and_errors_of_what_is_called_are_one_line(write):
    gin_files.load(write(BASE))
    with (
        pytest.raises(UserError, match=r"^Search\.dataset: received nothing.* = \.\.\.'$"),
        gin_files.explaining_calls(),
    ):
        configured_job()
    gin_files.load(write(BASE + "Search.dataset = 'x'\nSearch.epochs = 2"))
    with (
        pytest.raises(UserError, match=r"^Search\.warm_up_epochs: received 20; .* is 2$"),
        gin_files.explaining_calls(),
    ):
        configured_job()


def test_the_search_on_cityscapes_is_the_papers():
    """The paper's section 5.1."""
    gin_files.load("search_cityscapes.gin")
    job = configured_job()
    assert (job.epochs, job.warm_up_epochs, job.batch_size) == (40, 20, 2)
    assert (job.network_learning_rate, job.network_final_learning_rate) == (0.025, 0.001)
    assert (job.network_momentum, job.network_weight_decay) == (0.9, 3e-4)
    assert (job.architecture_learning_rate, job.architecture_weight_decay) == (3e-3, 1e-3)
    assert (job.train_split, job.validation_split) == ("train", "val")
    assert gin.query_parameter("training_batches.crop_size") == 321
    # "Random crops": the images are not scaled.
    assert gin.query_parameter("training_batches.scales") == (1.0,)

    supernet = Supernet(19)
    assert supernet.trellis_graph.layers == 12
    assert supernet.trellis_graph.strides == (4, 8, 16, 32)
    assert supernet.cell_graph.blocks == 5
    assert supernet.cell_graph.operations == OPERATIONS
    assert supernet.alpha.shape == (20, 8)
    assert gin.query_parameter("Supernet.filters") == 8


@pytest.mark.parametrize("path", sorted(gin_files.GIN_FOLDER.glob("*.gin")), ids=lambda p: p.name)
def test_every_file_names_a_job(path):
    gin_files.load(path.name)
    job = gin.query_parameter("configured_job.job")
    assert job.selector in ("Search", "Retrain")
    assert configured_job().dataset


def test_a_byte_order_mark_is_no_part_of_a_gin_file_or_of_one_that_it_includes(write, tmp_path):
    (tmp_path / "included.gin").write_text(BASE + "Search.seed = 5\n", encoding="utf-8-sig")
    path = write(f"\ufeffinclude '{tmp_path}/included.gin'\nSearch.epochs = 3\n")
    gin_files.load(path)
    assert gin.query_parameter("Search.seed") == 5
    assert gin.query_parameter("Search.epochs") == 3


def test_bindings_are_read_without_importing_or_configuring_anything():
    text = (
        "import a_module.that.does_not_exist\n"
        "one/more/A.b = [@f, @scope/g(), %m]\n"
        "a_module.A.c = {'x': (1, 2.5)}\n"
    )
    first, second = gin_files.read_bindings(text, "any.gin")
    assert first[:3] == ("one/more", "A", "b")
    assert first.value == [
        gin_files.Reference("f", False),
        gin_files.Reference("scope/g", True),
        gin_files.Macro("m"),
    ]
    assert (first.name, repr(first.value)) == ("one/more/A.b", "[@f, @scope/g(), %m]")
    assert second == ("", "a_module.A", "c", {"x": (1, 2.5)})
    assert gin.config_str() == ""


@pytest.mark.parametrize("text", ["A.b = (", "A.b: 3", "A.b", "A..b = 3", "A.b = " + "(" * 5000])
def test_what_is_not_in_gins_language_is_reported_with_its_source(text):
    with pytest.raises(UserError, match=r"^any\.gin: "):
        gin_files.read_bindings(text, "any.gin")
