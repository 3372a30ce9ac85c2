"""Which networks a retraining builds, and what it says of a genotype too many or too few."""

import gin
import pytest

from auto_deeplab.foundations import gin_files
from auto_deeplab.foundations.errors import UserError
from auto_deeplab.training.job import configured_job


@gin.configurable(denylist=["classes"])
def build_without_genotype(classes):
    return ("network", classes)


def configure(tmp_path, *parameters):
    path = tmp_path / "retrain.gin"
    path.write_text("include 'base/retrain.gin'\nRetrain.dataset = 'datasets/any'\n")
    gin_files.load(str(path), parameters)
    with gin_files.explaining_calls():
        return configured_job()


def test_a_network_without_a_genotype(tmp_path):
    job = configure(tmp_path, "Retrain.network = @build_without_genotype")
    assert not job.has_genotype
    assert job.genotype is None


def test_a_network_with_a_genotype(tmp_path):
    job = configure(tmp_path, "Retrain.genotype = 'published'")
    assert job.has_genotype


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ((), r"^Retrain.genotype: received nothing; expected a genotype's file or a name"),
        (
            ("Retrain.network = @build_without_genotype", "Retrain.genotype = 'published'"),
            r"received 'published'; expected None, as Retrain.network is build_without_genotype",
        ),
    ],
)
def test_a_genotype_that_is_missing_or_not_needed(tmp_path, parameters, message):
    with pytest.raises(UserError, match=message):
        configure(tmp_path, *parameters)
