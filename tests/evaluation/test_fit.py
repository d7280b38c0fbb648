from dataclasses import replace

import numpy as np
import pytest

from transforms.embedding import EncoderSpec
from transforms.evaluation import ASYMMETRIC, fit_findings, length_ratio

SPEC = EncoderSpec("m", "", (), None, None, None, None, "fp32")


def test_the_ratio_is_that_of_the_medians():
    assert length_ratio(np.array([1, 10, 1000]), np.array([40, 50, 60])) == 5


@pytest.mark.parametrize(
    ("spec", "ratio", "said"),
    [
        (replace(SPEC, profile="paraphrase-MiniLM-L6-v2"), ASYMMETRIC, "is a symmetric model"),
        (replace(SPEC, profile="paraphrase-MiniLM-L6-v2"), 2.9, None),
        (replace(SPEC, profile="msmarco-MiniLM-L6-cos-v5"), 1.0, "is an asymmetric model"),
        (replace(SPEC, profile="msmarco-MiniLM-L6-cos-v5"), 9.0, None),
        (replace(SPEC, profile="all-MiniLM-L6-v2"), 1.0, None),
        (replace(SPEC, profile="all-MiniLM-L6-v2"), 9.0, None),
        (replace(SPEC, profile="bge-small-en-v1.5"), 9.0, "queries are embedded without it"),
        (replace(SPEC, document_prompt="passage: ", query_prompt="query: "), 1.0, "is an asymmetric model"),
        (replace(SPEC, document_prompt="passage: ", query_prompt="query: "), 9.0, None),
        (SPEC, 1.0, None),
        (SPEC, 9.0, None),
    ],
)
def test_what_a_model_was_not_made_for_is_said(spec, ratio, said):
    found = fit_findings(spec, ratio)
    assert len(found) == (said is not None)
    assert said is None or said in found[0]
