"""Whether a model suits its data: questions with short words for long texts, or texts that say the same."""

import numpy as np

from transforms.embedding import EncoderSpec, find_profile

# Data is asymmetric when documents are this many times as long as queries, by the medians of characters. Questions with
# passages are beyond it (Cranfield: 90 and 900), sentences with sentences below it.
ASYMMETRIC = 3.0


def length_ratio(queries: np.ndarray, documents: np.ndarray) -> float:
    """How many times as long as the median query the median document is, by characters of each, (n,) with n > 0."""
    return float(np.median(documents) / max(float(np.median(queries)), 1.0))


def fit_findings(spec: EncoderSpec, ratio: float) -> list[str]:
    """What a model was not made for, in a sentence or two; none when all fits or nothing is known of the model.

    `ratio` is that of `length_ratio`. The rule: at `ASYMMETRIC` or more, data is asymmetric and asks for a model that was
    trained on questions and passages; below, symmetric. What the model was made for is in its profile; without one, two
    different prompts say that it is for search.
    """
    profile = None if spec.profile is None else find_profile(spec.profile)
    sides = spec.document_prompt != spec.query_prompt and bool(spec.query_prompt)
    use = profile.use if profile is not None else "asymmetric" if sides and spec.document_prompt else None
    lengths = f"documents are {ratio:.1f} times as long as queries (medians of characters)"
    if use == "symmetric" and ratio >= ASYMMETRIC:
        return [
            f"{spec.name} is a symmetric model, for texts that say the same, and these data are asymmetric: {lengths}. A model "
            "for search, or for both such as all-MiniLM-L6-v2, may rank better: compare with --model."
        ]
    if use == "asymmetric" and ratio < ASYMMETRIC:
        return [
            f"{spec.name} is an asymmetric model, for questions and passages, and these data look symmetric: {lengths}, below "
            f"{ASYMMETRIC:g}. A model for both, such as all-MiniLM-L6-v2, may rank better: compare with --model."
        ]
    if profile is not None and profile.query_prompt and not spec.query_prompt and ratio >= ASYMMETRIC:
        return [
            f"{spec.name} was trained with the query prompt {profile.query_prompt!r}, and queries are embedded without it, "
            f"although {lengths}: set embedding.query_prompt."
        ]
    return []
