"""What `evaluate` measures and compares, by its options."""

from types import SimpleNamespace

import pytest

from pipelines.config import ConfigurationError
from pipelines.evaluate import EvaluateCommand
from transforms.generations import GenerationError


@pytest.mark.parametrize("options", [{}, {"index": True}, {"pairs": "pairs.csv", "labels": "kind"}])
def test_a_model_alone_is_compared_with_the_published_one(tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GenerationError, match="nothing is published"):
        EvaluateCommand(models=("other",), **options).run()


@pytest.fixture
def names(tmp_path, monkeypatch):
    """Names of what is compared: a root has a generation `published`, and others by name."""
    (tmp_path / "link").symlink_to(tmp_path / "root")
    monkeypatch.setattr(
        "pipelines.evaluate.open_generation",
        lambda root, generation: SimpleNamespace(
            root=root, id=generation or "published", folder=f"{root}/{generation or 'published'}"
        ),
    )
    monkeypatch.setattr("pipelines.evaluate.published_system", lambda _, name: name)

    def compared(root, other, generation=None):
        roots = [None if one is None else one.format(tmp_path) for one in (root, other)]
        return EvaluateCommand(root=roots[0], compare_root=roots[1], compare_generation=generation)._systems

    return compared


@pytest.mark.parametrize("spelled", ["{0}/root", "{0}/root/", "{0}/root/../root", "file://{0}/root", "{0}/link"])
def test_a_generation_is_not_compared_with_itself_however_its_root_is_spelled(names, spelled):
    with pytest.raises(ConfigurationError, match="published would be compared with itself"):
        names("{0}/root", spelled)
    assert names("{0}/root", spelled, "older") == ["published", "older"]


def test_generations_of_two_roots_are_called_by_their_folders(names, tmp_path):
    assert names("{0}/root", "{0}/root2", "x") == [f"{tmp_path}/root/published", f"{tmp_path}/root2/x"]
