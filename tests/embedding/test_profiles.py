"""What is known of models by name, and what comes first where several say something."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from sentence_transformers import SentenceTransformer

from tests.embedding.tiny import DIM, MAX_TOKENS, build_model
from transforms.embedding import (
    PROFILES,
    EmbeddingOptions,
    ModelError,
    ModelProfile,
    encoder_spec,
    find_profile,
    load_encoder,
    read_facts,
)

TINY = ModelProfile("tiny-qa", DIM, MAX_TOKENS, "dot", "asymmetric", "passage: ", "query: ")
TEXTS = ["abc", "hello world", "a longer text with some more letters"]


@pytest.fixture
def tiny_profile(monkeypatch) -> ModelProfile:
    monkeypatch.setitem(PROFILES, TINY.name, TINY)
    return TINY


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> str:
    """A model whose name has a profile and whose files say nothing of their own."""
    return build_model(tmp_path_factory.mktemp("plain"), name="tiny-QA")


def spec_of(model: str, **options):
    return encoder_spec(EmbeddingOptions(model=model, device="cpu", **options))


def state(folder: str, **values) -> None:
    path = Path(folder, "config_sentence_transformers.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
        ("sentence-transformers/ALL-minilm-l6-v2", "all-MiniLM-L6-v2"),
        ("/models/multi-qa-mpnet-base-dot-v1/", "multi-qa-mpnet-base-dot-v1"),
        ("C:\\models\\all-mpnet-base-v2", "all-mpnet-base-v2"),
        ("intfloat/e5-base-v2", "e5-base-v2"),
        ("intfloat/multilingual-e5-large", "multilingual-e5-large"),
        ("BAAI/bge-small-en-v1.5", "bge-small-en-v1.5"),
        # Other models, whose names only look alike: their prompts or dimensions differ.
        ("intfloat/multilingual-e5-large-instruct", None),
        ("intfloat/e5-mistral-7b-instruct", None),
        ("BAAI/bge-reranker-base", None),
        ("me/e5-base-v2-finetuned", None),
        ("", None),
        ("/", None),
    ],
)
def test_a_profile_is_found_by_the_last_part_of_the_name(name, found):
    profile = find_profile(name)
    assert (None if profile is None else profile.name) == found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("all-MiniLM-L6-v2", (384, 256, "cosine", "both", None, None)),
        ("all-mpnet-base-v2", (768, 384, "cosine", "both", None, None)),
        ("multi-qa-mpnet-base-dot-v1", (768, 512, "dot", "asymmetric", None, None)),
        ("multi-qa-MiniLM-L6-cos-v1", (384, 512, "cosine", "asymmetric", None, None)),
        ("msmarco-distilbert-base-v4", (768, 512, "cosine", "asymmetric", None, None)),
        ("msmarco-distilbert-base-tas-b", (768, 512, "dot", "asymmetric", None, None)),
        ("e5-large-v2", (1024, 512, "cosine", "asymmetric", "passage: ", "query: ")),
        ("multilingual-e5-small", (384, 512, "cosine", "asymmetric", "passage: ", "query: ")),
        ("bge-base-en", (768, 512, "cosine", "both", None, "Represent this sentence for searching relevant passages: ")),
        ("bge-small-zh-v1.5", (512, 512, "cosine", "both", None, "为这个句子生成表示以用于检索相关文章：")),
    ],
)
def test_known_models_are_as_their_cards_say(name, expected):
    profile = find_profile(name)
    found = profile.dimension, profile.max_tokens, profile.metric, profile.use, profile.document_prompt, profile.query_prompt
    assert found == expected


def test_the_table_is_of_one_mind_with_the_names():
    for key, profile in PROFILES.items():
        assert key == profile.name.casefold()
        assert (profile.metric == "dot") == (("-dot-" in key) or key.endswith("tas-b"))


def test_the_profile_of_the_default_model_is_the_model(minilm, minilm_spec):
    profile = find_profile(minilm_spec.model)
    assert (profile.dimension, profile.max_tokens) == (minilm.dim, minilm.max_tokens)
    facts = read_facts(minilm_spec.folder)
    assert facts.normalizes
    assert (facts.metric, facts.document_prompt, facts.router) == (None, None, False)
    assert minilm_spec.profile == profile.name


# --- precedence: option, the model's own files, profile ------------------------------------------------------------------


def test_what_the_files_do_not_say_the_profile_does(plain, tiny_profile):
    spec = spec_of(plain)
    assert (spec.document_prompt, spec.query_prompt, spec.metric, spec.profile) == ("passage: ", "query: ", "dot", "tiny-qa")


def test_prompts_of_the_files_come_before_the_profile_and_the_options_before_both(tmp_path, tiny_profile):
    folder = build_model(tmp_path, {"query": "Q: "}, name="tiny-qa")
    spec = spec_of(folder)
    assert (spec.document_prompt, spec.query_prompt) == ("passage: ", "Q: ")
    spec = spec_of(folder, document_prompt="", query_prompt="ask: ")
    assert (spec.document_prompt, spec.query_prompt) == ("", "ask: ")


@pytest.mark.parametrize(
    ("stated", "profile", "wanted", "metric"),
    [
        (None, None, None, "cosine"),
        ("cosine", None, None, "cosine"),
        ("dot", None, None, "dot"),
        ("dot", None, "cosine", "cosine"),
        (None, None, "dot", "dot"),
        ("euclidean", None, "cosine", "cosine"),
        ("manhattan", None, "dot", "dot"),
        # The library writes "cosine" into every model that it saves, so that it is no statement.
        ("cosine", "tiny-qa", None, "dot"),
        (None, "tiny-qa", None, "dot"),
        ("cosine", "tiny-qa", "cosine", "cosine"),
        ("dot", "all-MiniLM-L6-v2", None, "dot"),
    ],
)
def test_which_metric_is_taken(tmp_path, tiny_profile, stated, profile, wanted, metric):
    folder = build_model(tmp_path)
    state(folder, similarity_fn_name=stated)
    spec = spec_of(folder, profile=profile, metric=wanted)
    assert (spec.metric, spec.normalize) == (metric, metric == "cosine")


@pytest.mark.parametrize("stated", ["euclidean", "manhattan", "maxsim"])
@pytest.mark.parametrize("profile", [None, "all-MiniLM-L6-v2"])
def test_another_metric_needs_a_choice(tmp_path, stated, profile):
    folder = build_model(tmp_path)
    state(folder, similarity_fn_name=stated)
    with pytest.raises(ModelError, match=f"'{stated}'.*embedding.metric=cosine"):
        spec_of(folder, profile=profile)


def test_a_profile_of_the_options_replaces_the_one_of_the_name(plain, tmp_path, tiny_profile):
    other = build_model(tmp_path, name="my-own")
    assert spec_of(other).profile is None
    assert spec_of(other, profile="somebody/Tiny-QA").query_prompt == "query: "
    none = spec_of(plain, profile="none")
    assert (none.profile, none.document_prompt, none.query_prompt, none.metric) == (None, None, None, "cosine")


def test_a_profiles_name_decides_no_vector(plain, tiny_profile, tmp_path):
    by_hand = spec_of(plain, profile="none", document_prompt="passage: ", query_prompt="query: ", metric="dot")
    assert by_hand.fingerprint == spec_of(plain).fingerprint != spec_of(plain, metric="cosine").fingerprint


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(ValidationError, match=r"'e6-base' is not known.*none or one of.*e5-base"):
        EmbeddingOptions(profile="e6-base")


def test_vectors_are_those_of_the_library_with_the_profiles_prompts(plain, tiny_profile):
    own = load_encoder(spec_of(plain), "cpu")
    library = SentenceTransformer(plain, device="cpu", local_files_only=True)
    np.testing.assert_allclose(
        own.encode_documents(TEXTS, 4096).vectors, library.encode_document(TEXTS, prompt="passage: "), atol=1e-5
    )
    np.testing.assert_allclose(own.encode_queries(TEXTS).vectors, library.encode_query(TEXTS, prompt="query: "), atol=1e-5)


# --- a folder that is not what its name says ------------------------------------------------------------------------------


def test_another_model_of_a_known_name_is_refused_when_it_is_loaded(tmp_path):
    folder = build_model(tmp_path, name="multi-qa-MiniLM-L6-cos-v1")
    with pytest.raises(ModelError, match=r"gives 16 dimensions.*has 384.*embedding.profile=none"):
        load_encoder(spec_of(folder), "cpu")
    assert load_encoder(spec_of(folder, profile="none"), "cpu").dim == DIM


def test_truncated_vectors_are_no_other_model(plain, tiny_profile, minilm_spec):
    assert load_encoder(spec_of(plain, truncate_dim=8), "cpu").dim == 8
    assert load_encoder(spec_of(plain, truncate_dim=DIM + 1), "cpu").dim == DIM


# --- dot product: nothing is normalised ------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("truncate_dim", [None, 8])
def test_vectors_of_a_dot_model_are_the_librarys_own(tmp_path, packed, truncate_dim):
    folder = build_model(tmp_path, {"query": "query: ", "document": "passage: "}, similarity="dot")
    own = load_encoder(spec_of(folder, truncate_dim=truncate_dim), "cpu")
    if not packed:
        own._packed = None
    library = SentenceTransformer(folder, device="cpu", local_files_only=True, truncate_dim=truncate_dim)
    documents = library.encode_document(TEXTS)
    assert np.abs(np.linalg.norm(documents, axis=1) - 1).min() > 0.1
    np.testing.assert_allclose(own.encode_documents(TEXTS, 4096).vectors, documents, atol=1e-5)
    np.testing.assert_allclose(own.encode_queries(TEXTS).vectors, library.encode_query(TEXTS), atol=1e-5)


# --- what the files say ----------------------------------------------------------------------------------------------------


def test_facts_of_saved_models(tmp_path):
    prompts = {"query": "q: ", "corpus": "c: "}
    facts = read_facts(build_model(tmp_path, prompts, normalize=True, similarity="dot"))
    assert (facts.document_prompt, facts.query_prompt, facts.metric, facts.normalizes) == ("c: ", "q: ", "dot", True)
    facts = read_facts(build_model(tmp_path / "other", dense=True))
    assert (facts.document_prompt, facts.query_prompt, facts.metric, facts.normalizes) == (None, None, "cosine", False)


def test_facts_of_a_folder_without_settings(tmp_path):
    facts = read_facts(str(tmp_path))
    assert (facts.metric, facts.max_tokens, facts.normalizes, facts.router) == (None, None, False, False)


def test_facts_of_a_model_with_two_sides(tmp_path):
    (tmp_path / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.base.modules.router.Router"}]))
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 99}))
    facts = read_facts(str(tmp_path))
    assert (facts.router, facts.normalizes, facts.max_tokens) == (True, False, 99)


def test_the_readme_has_every_profile_as_it_is():
    """Its table abbreviates: {a,b} stands for each, [x] for with and without."""
    lines = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| profile | dimension"))
    shown = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        names, dimensions, tokens, metric, document, query, use = (cell.strip() for cell in line.strip("|").split("|"))
        prompts = tuple(cell.strip("`") or None for cell in (document, query))
        use = {"search": "asymmetric", "duplicates": "symmetric", "both": "both"}[use]
        for name in names.replace("`", "").split():
            sizes = re.search(r"\{(.*?)\}", name)
            for place, size in enumerate(sizes[1].split(",") if sizes else [""]):
                one = re.sub(r"\{.*?\}", size, name)
                dimension = int(dimensions.split(",")[place])
                for full in {re.sub(r"\[(.*?)\]", "", one), re.sub(r"\[(.*?)\]", r"\1", one)}:
                    shown[full.casefold()] = ModelProfile(full, dimension, int(tokens), metric, use, *prompts)
    assert shown == PROFILES
