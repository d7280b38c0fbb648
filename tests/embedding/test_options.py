import pytest
from pydantic import ValidationError

from transforms.embedding import EmbeddingOptions


@pytest.mark.parametrize(
    "values",
    [
        {"modle": "x"},
        {"model": ""},
        {"precision": "int4"},
        {"max_tokens": 0},
        {"truncate_dim": 0},
        {"tokens_per_batch": 1},
        {"threads": 0},
    ],
)
def test_wrong_options_are_refused_with_their_name(values):
    with pytest.raises(ValidationError, match=next(iter(values))):
        EmbeddingOptions(**values)


def test_options_are_frozen_described_and_survive_json():
    options = EmbeddingOptions(model="x", precision="bf16", max_tokens=8, truncate_dim=8, threads=1)
    with pytest.raises(ValidationError):
        options.model = "y"
    assert EmbeddingOptions.model_validate_json(options.model_dump_json()) == options
    assert all(field.description for field in EmbeddingOptions.model_fields.values())
