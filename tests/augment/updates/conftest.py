import pytest

from tests.support.central_repository import make_repository
from tests.support.colour_bundle import make_bundle


@pytest.fixture
def bundle(tmp_path):
    return make_bundle(tmp_path / "bundle")


@pytest.fixture
def repository(tmp_path):
    """An empty repository, whose keys lie in keys/ beside it."""
    return make_repository(tmp_path / "repository")


@pytest.fixture
def released(repository, bundle):
    """The repository with the bundle as the release of the first group."""
    repository.release(repository.add_bundle(bundle), "one")
    repository.commit()
    return repository
