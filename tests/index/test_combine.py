import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.index.helpers import clustered_vectors, encode_tasks, make_corpus
from transforms.files import file_ref
from transforms.index import (
    EncodeTask,
    IndexOptions,
    Kept,
    ShardError,
    TrainTask,
    encode_shard,
    index_bytes,
    merge_shards,
    read_template,
    spread_of,
    train_index,
)
from transforms.vectors import save_array, write_block

ROWS = 900


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"), clustered_vectors(ROWS, dim=64), rows_per_block=100)


@pytest.mark.parametrize("factory", ["IDMap2,Flat", "IVF16,SQ8", "PCAR32,IVF16_HNSW8,PQ4", "RR,IVF300,RaBitQ4"])
def test_an_earlier_index_without_and_with_texts_is_everything_encoded(tmp_path, corpus, factory):
    """Some texts are gone, some are new, some have another vector; and the new ones come in blocks of other sizes."""
    options = IndexOptions(type=factory, rows_per_shard=300)
    training = train_index(TrainTask(corpus.blocks, f"{tmp_path}/t"), options)
    dice = np.random.default_rng(3)
    state = dice.permutation(np.repeat(["kept", "gone", "new", "changed"], [ROWS - 260, 90, 100, 70]))
    before, now = state != "new", state != "gone"
    vectors = np.where((state == "changed")[:, None], corpus.vectors[::-1], corpus.vectors).astype(np.float32)

    def blocks_of(name: str, rows: np.ndarray, source: np.ndarray, sizes: int):
        cut = [rows[low : low + sizes] for low in range(0, len(rows), sizes)]
        starts = np.cumsum([0, *map(len, cut)])
        return tuple(
            write_block(
                f"{tmp_path}/{name}{i}.npy", f"{tmp_path}/{name}{i}-ids.npy", int(start), corpus.ids[part], source[part]
            )
            for i, (start, part) in enumerate(zip(starts, cut, strict=False))
        )

    earlier_blocks = blocks_of("before", np.flatnonzero(before), corpus.vectors, 110)
    now_blocks = blocks_of("now", np.flatnonzero(now), vectors, 70)
    template, fingerprint = training.template, training.fingerprint
    first = encode_shard(EncodeTask(0, earlier_blocks, template, fingerprint, f"{tmp_path}/first"))
    earlier = merge_shards(template, fingerprint, [first], f"{tmp_path}/earlier.faiss")
    for name, which in (("added", np.isin(state, ["new", "changed"])), ("gone", np.isin(state, ["gone", "changed"]))):
        save_array(f"{tmp_path}/{name}.npy", corpus.ids[which])
    added, gone = file_ref(f"{tmp_path}/added.npy"), file_ref(f"{tmp_path}/gone.npy")
    shards = [
        encode_shard(EncodeTask(part, some, template, fingerprint, f"{tmp_path}/next", only=added))
        for part, some in enumerate((now_blocks[:6], now_blocks[6:]))
    ]
    assert sum(shard.texts for shard in shards) == 170
    grown = merge_shards(template, fingerprint, shards, f"{tmp_path}/grown.faiss", Kept(earlier.file, gone, fingerprint))

    whole = encode_shard(EncodeTask(0, now_blocks, template, fingerprint, f"{tmp_path}/whole"))
    everything = merge_shards(template, fingerprint, [whole], f"{tmp_path}/everything.faiss")
    assert Path(grown.file.path).read_bytes() == Path(everything.file.path).read_bytes()
    by_faiss = read_template(template, fingerprint)
    by_faiss.add_with_ids(vectors[now], corpus.ids[now])
    assert Path(grown.file.path).read_bytes() == index_bytes(by_faiss)
    assert spread_of(grown.sizes) == spread_of(everything.sizes)
    # Sums over the parts are those over the whole.
    both = merged_sums([first, *shards])
    assert both.texts == (0 if factory == "IDMap2,Flat" else int(before.sum()) + 170)


def merged_sums(shards):
    total = shards[0].encoded
    for shard in shards[1:]:
        total += shard.encoded
    return total


def test_figures_are_the_same_for_any_shards(tmp_path, corpus):
    training = train_index(TrainTask(corpus.blocks, f"{tmp_path}/t"), IndexOptions(type="IVF16,SQ8"))
    sums = []
    for rows in (100, 300, 900):
        tasks = encode_tasks(corpus, IndexOptions(type="IVF16,SQ8", rows_per_shard=rows), training)
        sums.append(merged_sums([encode_shard(dataclasses.replace(task, directory=str(tmp_path))) for task in tasks]))
    assert sums[0] == sums[1] == sums[2]
    assert sums[0].texts == ROWS
    assert sums[0].components == ROWS * 64
    assert sums[0].mean_distance > 0


def test_an_earlier_index_of_another_template_is_refused(tmp_path, corpus):
    options = IndexOptions(type="IVF16,SQ8", rows_per_shard=ROWS)
    training = train_index(TrainTask(corpus.blocks, f"{tmp_path}/t"), options)
    (task,) = encode_tasks(corpus, options, training)
    shard = encode_shard(dataclasses.replace(task, directory=str(tmp_path)))
    save_array(f"{tmp_path}/gone.npy", corpus.ids[:0])
    kept = Kept(shard.file, file_ref(f"{tmp_path}/gone.npy"), "0" * 64)
    with pytest.raises(ShardError, match=r"was encoded with template 000000000000, not .*index\.retrain=always"):
        merge_shards(training.template, training.fingerprint, [], f"{tmp_path}/merged", kept)
