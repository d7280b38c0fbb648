import pytest
from pydantic import ValidationError

from transforms.topics import TopicsOptions


@pytest.mark.parametrize(("n", "size"), [(0, 5), (50, 5), (8_000, 45), (12_340, 56), (61_265, 124)])
def test_smallest_topic_grows_with_the_root_of_the_corpus(n, size):
    assert TopicsOptions().cluster_size(n) == size
    assert TopicsOptions(min_cluster_size=7).cluster_size(n) == 7


@pytest.mark.parametrize(
    "wrong",
    [{"min_cluster_size": 1}, {"n_neighbors": 2}, {"cluster_selection_method": "best"}, {"seed": -1}, {"neighbours": 3}],
)
def test_wrong_values_are_refused(wrong):
    with pytest.raises(ValidationError):
        TopicsOptions(**wrong)


def test_every_option_is_described():
    assert all(field.description for field in TopicsOptions.model_fields.values())
