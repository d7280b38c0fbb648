import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.embedding.tiny import build_model
from transforms.embedding import EmbeddingOptions, ModelError, encoder_spec
from transforms.embedding.fingerprint import find_here


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return build_model(tmp_path_factory.mktemp("model"), {"query": "query: ", "document": "passage: "})


@pytest.fixture
def copy(model, tmp_path) -> Path:
    shutil.copytree(model, tmp_path / "copy")
    return tmp_path / "copy"


def fingerprint(folder, **options) -> str:
    return encoder_spec(EmbeddingOptions(model=str(folder), **options)).fingerprint


# As sentence-transformers 6 saves a model; a name that is missing here would make the test of that file vanish.
DECISIVE = [
    "1_Pooling/config.json",
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
]


def test_the_files_of_the_test_are_the_files_of_the_model(model):
    found = {path.relative_to(model).as_posix() for path in Path(model).rglob("*") if path.is_file()}
    assert found == {*DECISIVE, "README.md"}
    assert [name for name, _ in encoder_spec(EmbeddingOptions(model=model)).files] == sorted(DECISIVE)


@pytest.mark.parametrize("name", DECISIVE)
def test_every_decisive_file_changes_it(model, copy, name):
    path = copy / name
    path.write_bytes(path.read_bytes() + b" ")
    assert fingerprint(copy) != fingerprint(model)


@pytest.mark.parametrize("name", ["vocab.txt", "added_tokens.json", "sentencepiece.bpe.model", "2_Dense/model.safetensors"])
def test_a_decisive_file_more_changes_it(model, copy, name):
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("{}")
    assert fingerprint(copy) != fingerprint(model)


@pytest.mark.parametrize(
    "name", ["README.md", ".gitattributes", "onnx/config.json", "openvino/config.json", "train_script.py", "picture.png"]
)
def test_descriptions_and_other_backends_do_not(model, copy, name):
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("something else")
    assert fingerprint(copy) == fingerprint(model)


def test_the_place_does_not(model, copy, monkeypatch):
    monkeypatch.chdir(copy.parent)
    assert fingerprint(copy) == fingerprint("copy") == fingerprint(model)


OPTIONS = [
    {"document_prompt": "other: "},
    {"document_prompt": ""},
    {"query_prompt": "other: "},
    {"query_prompt": ""},
    {"precision": "bf16"},
    {"max_tokens": 16},
    {"truncate_dim": 8},
    {"metric": "dot"},
]


def test_every_decisive_option_changes_it(model):
    seen = [fingerprint(model), *(fingerprint(model, **options) for options in OPTIONS)]
    assert len(set(seen)) == len(OPTIONS) + 1


@pytest.mark.parametrize("options", [{"tokens_per_batch": 512}, {"device": "cpu"}, {"threads": 1}])
def test_how_the_work_is_done_does_not(model, options):
    assert fingerprint(model, **options) == fingerprint(model)


def test_every_field_of_a_spec_but_its_place_is_in_the_fingerprint(model):
    """A field that is added later and forgotten here would let vectors of two kinds meet in one store."""
    spec = encoder_spec(EmbeddingOptions(model=model))
    changed = {
        "model": ("other", True),
        "folder": ("/other", True),
        "files": (spec.files[1:], False),
        "document_prompt": (None, False),
        "query_prompt": (None, False),
        "max_tokens": (9, False),
        "truncate_dim": (9, False),
        "precision": ("bf16", False),
        "normalize": (False, False),
        "profile": ("other", True),
    }
    assert set(changed) == set(spec.__dataclass_fields__)
    for name, (value, same) in changed.items():
        assert (replace(spec, **{name: value}).fingerprint == spec.fingerprint) is same, name


def test_the_default_model_has_the_fingerprint_that_was_published(minilm_spec):
    """Stored vectors of every root hang on it: a change here embeds every corpus again and needs a reason."""
    assert dict(minilm_spec.files)["model.safetensors"] == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert (minilm_spec.document_prompt, minilm_spec.query_prompt) == (None, None)
    assert minilm_spec.fingerprint == "5e86e803d35f95324912896577a449c3678830247488664477bf262d8598ef8a"


# --- which prompt is whose -----------------------------------------------------------------------------------------------


def prompts_of(copy: Path, prompts: dict | None, default: str | None = None, **options) -> tuple[str | None, str | None]:
    path = copy / "config_sentence_transformers.json"
    path.write_text(json.dumps({"prompts": prompts, "default_prompt_name": default}))
    spec = encoder_spec(EmbeddingOptions(model=str(copy), **options))
    return spec.document_prompt, spec.query_prompt


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ({"query": "q: ", "document": "d: ", "passage": "p: "}, ("d: ", "q: ")),
        ({"query": "q: ", "passage": "p: "}, ("p: ", "q: ")),
        ({"corpus": "c: "}, ("c: ", None)),
        ({"classification": "x: "}, (None, None)),
        ({"query": "", "document": ""}, (None, None)),
        ({}, (None, None)),
        (None, (None, None)),
    ],
)
def test_prompts_of_the_model(copy, prompts, expected):
    assert prompts_of(copy, prompts) == expected


def test_prompts_of_the_options_come_first_and_an_empty_one_is_none_at_all(copy):
    prompts = {"query": "q: ", "document": "d: "}
    assert prompts_of(copy, prompts, document_prompt="D: ") == ("D: ", "q: ")
    assert prompts_of(copy, prompts, query_prompt="") == ("d: ", "")


def test_a_model_without_settings_has_no_prompts(copy):
    (copy / "config_sentence_transformers.json").unlink()
    spec = encoder_spec(EmbeddingOptions(model=str(copy)))
    assert (spec.document_prompt, spec.query_prompt) == (None, None)


def test_the_default_prompt_does_not_hide_a_prompt_of_the_side(copy):
    assert prompts_of(copy, {"query": "q: ", "passage": "p: "}, default="query") == ("p: ", "q: ")


def test_a_file_that_changes_while_the_process_lives_is_seen(copy):
    before = fingerprint(copy)
    (copy / "modules.json").write_text((copy / "modules.json").read_text() + " ")
    assert fingerprint(copy) != before


def test_elsewhere_a_model_is_found_by_its_name(minilm_spec):
    sent = minilm_spec.for_elsewhere()
    assert (sent.model, sent.folder) == (minilm_spec.model, "")
    assert sent.fingerprint == minilm_spec.fingerprint
    assert find_here(sent) == minilm_spec


def test_elsewhere_a_folder_is_found_by_its_whole_path(copy, monkeypatch, tmp_path):
    monkeypatch.chdir(copy.parent)
    sent = encoder_spec(EmbeddingOptions(model="copy")).for_elsewhere()
    monkeypatch.chdir(tmp_path.parent)
    assert find_here(sent).folder == str(copy)


def test_elsewhere_a_model_of_the_hub_is_found_at_its_commit(model, tmp_path, monkeypatch):
    import huggingface_hub

    commit = "0123456789abcdef0123456789abcdef01234567"
    asked = []

    def stored(place):
        folder = tmp_path / place / "models--some--model" / "snapshots" / commit
        shutil.copytree(model, folder)

        def snapshot_download(repository, *, revision=None, **_):
            asked.append((repository, revision))
            return str(folder)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
        return str(folder)

    stored("here")
    spec = encoder_spec(EmbeddingOptions(model="some/model"))
    there = stored("there")
    assert find_here(spec.for_elsewhere()).folder == there
    assert asked == [("some/model", None), ("some/model", commit)]
    assert spec.for_elsewhere().fingerprint == spec.fingerprint


def test_elsewhere_a_model_that_is_not_the_same_is_refused(copy):
    sent = encoder_spec(EmbeddingOptions(model=str(copy))).for_elsewhere()
    path = copy / "tokenizer_config.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(ModelError, match=r"on this worker is not the one .* tokenizer_config.json differs. Start the run with"):
        find_here(sent)
    shutil.rmtree(copy)
    with pytest.raises(ModelError, match=r"is not a folder, not installed"):
        find_here(sent)
