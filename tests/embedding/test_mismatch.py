"""What is said of a model that is used for what it was not made for: a pure function of plain values."""

import re

import pytest

from transforms.embedding import EncoderSpec, ModelFacts, find_profile, model_warnings

SPEC = EncoderSpec("some/model", "/folder", (), None, None, None, None, "fp32")
REINDEX = ("search", "duplicates")


def warned(tasks=REINDEX, profile=None, facts=None, **spec):
    values = {**SPEC.__dict__, **spec}
    known = None if profile is None else find_profile(profile)
    if known is not None:
        values = {"document_prompt": known.document_prompt, "query_prompt": known.query_prompt, **spec}
        values = {**SPEC.__dict__, "model": f"hub/{known.name}", **values}
    return model_warnings(EncoderSpec(**values), ModelFacts(**(facts or {})), known, tasks)


@pytest.mark.parametrize("profile", [None, "all-MiniLM-L6-v2", "all-mpnet-base-v2", "bge-small-en-v1.5", "bge-m3"])
@pytest.mark.parametrize("task", ["search", "duplicates", "similarity"])
def test_what_fits_is_passed_in_silence(profile, task):
    assert warned([task], profile) == []


@pytest.mark.parametrize("profile", ["multi-qa-MiniLM-L6-cos-v1", "msmarco-distilbert-base-v4", "e5-base-v2"])
def test_a_model_for_search_is_not_for_duplicates_or_similarity(profile):
    assert warned(["search"], profile) == []
    (duplicates,) = warned(REINDEX, profile)
    assert duplicates.startswith(profile)
    assert "duplicates and topics" in duplicates
    assert "all-MiniLM-L6-v2" in duplicates
    (similarity,) = warned(["similarity"], profile)
    assert similarity.startswith(profile)
    assert "Use a model for both" in similarity


def test_a_dot_model_as_it_is_meant_has_only_the_warning_for_duplicates():
    (warning,) = warned(REINDEX, "multi-qa-mpnet-base-dot-v1", normalize=False)
    assert "duplicates" in warning
    assert warned(["search"], "multi-qa-mpnet-base-dot-v1", normalize=False) == []


def test_sides_of_an_unknown_model_are_told_by_its_prompts_or_modules():
    (warning,) = warned(document_prompt="passage: ", query_prompt="query: ")
    assert "'passage: '" in warning
    assert "embedding.document_prompt='query: '" in warning
    (warning,) = warned(facts={"router": True})
    assert "different modules" in warning
    # One-sided instructions leave documents as they are; equal prompts make no sides.
    assert warned(query_prompt="Represent: ") == []
    assert warned(document_prompt="query: ", query_prompt="query: ") == []


def test_what_the_warning_advises_silences_it():
    (warning,) = warned(REINDEX, "e5-base-v2")
    advised = re.search(r"embedding\.document_prompt='(.*?)'", warning)[1]
    assert warned(REINDEX, "e5-base-v2", document_prompt=advised) == []


def test_a_symmetric_model_is_not_for_search():
    (warning,) = warned(["search"], "paraphrase-multilingual-MiniLM-L12-v2")
    assert "not on questions" in warning
    assert warned(["duplicates"], "paraphrase-multilingual-MiniLM-L12-v2") == []
    assert warned(["similarity"], "paraphrase-multilingual-MiniLM-L12-v2") == []


@pytest.mark.parametrize(
    ("profile", "facts", "spec", "word"),
    [
        ("multi-qa-mpnet-base-dot-v1", {"metric": "cosine"}, {"normalize": True}, "was trained for dot"),
        (None, {"metric": "dot"}, {"normalize": True}, "was trained for dot"),
        ("all-MiniLM-L6-v2", {"normalizes": True}, {"normalize": False}, "same answers as cosine"),
        ("all-MiniLM-L6-v2", {"normalizes": True}, {"normalize": False, "truncate_dim": 64}, "was trained for cosine"),
        ("msmarco-distilbert-base-v4", {}, {"normalize": False}, "long vectors come before nearer ones"),
        (None, {"metric": "cosine"}, {"normalize": False}, "was trained for cosine"),
        (None, {"metric": "euclidean"}, {"normalize": True}, "was trained for euclidean"),
        (None, {"metric": "manhattan"}, {"normalize": False}, "was trained for manhattan"),
        # Nothing says what it was trained for, so that the option is the statement.
        (None, {}, {"normalize": False}, None),
        (None, {"metric": "dot"}, {"normalize": False}, None),
        (None, {"metric": "cosine", "normalizes": True}, {"normalize": True}, None),
    ],
)
def test_a_metric_that_the_model_was_not_trained_for(profile, facts, spec, word):
    found = warned(["search"], profile, facts, **spec)
    assert len(found) == (word is not None)
    if word is not None:
        assert word in found[0]
        assert "embedding.metric" in found[0]


def test_another_limit_than_the_profiles_is_said():
    assert warned(["search"], "all-mpnet-base-v2", {"max_tokens": 384}) == []
    (warning,) = warned(["search"], "all-mpnet-base-v2", {"max_tokens": 128})
    assert "128" in warning
    assert "384" in warning
    assert "embedding.profile=none" in warning


def test_no_folder_of_this_machine_is_named():
    (warning,) = warned(model="/home/me/models/secret/", document_prompt="d", query_prompt="q")
    assert warning.startswith("secret embeds")
    assert "/home" not in warning
