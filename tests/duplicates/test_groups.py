import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transforms.duplicates.groups import cover


@st.composite
def graphs(draw):
    texts = draw(st.integers(0, 25))
    possible = [(a, b) for a in range(texts) for b in range(a + 1, texts)]
    chosen = draw(st.lists(st.sampled_from(possible), unique=True, max_size=60)) if possible else []
    cosines = draw(st.lists(st.sampled_from([0.75, 0.8, 0.9, 1.0]), min_size=len(chosen), max_size=len(chosen)))
    order = draw(st.permutations(range(texts)))
    return texts, chosen, cosines, order


def solve(texts, pairs, cosines, order):
    a, b = np.array(pairs, np.int64).reshape(-1, 2).T
    return cover(texts, a, b, np.array(cosines, np.float32), np.array(order, np.int64))


@given(graphs())
def test_every_text_has_a_kept_one_that_it_is_itself_in_a_pair_with(graph):
    texts, pairs, cosines, order = graph
    covered = solve(*graph)
    weight = {frozenset(pair): np.float32(cosine) for pair, cosine in zip(pairs, cosines, strict=True)}
    kept = set(covered.kept.tolist())
    rank = {text: place for place, text in enumerate(order)}
    for text in range(texts):
        mine = covered.kept[text]
        if text == mine:
            assert covered.cosines[text] == 1
            assert not any(frozenset((text, other)) in weight for other in kept)
            continue
        options = [(-weight[frozenset((text, other))], rank[other]) for other in kept if frozenset((text, other)) in weight]
        assert (-covered.cosines[text], rank[mine]) == min(options)
        assert min(rank[other] for other in kept if frozenset((text, other)) in weight) < rank[text]


@given(graphs())
def test_components_are_those_of_union_find(graph):
    texts, pairs, _, _ = graph
    parent = list(range(texts))

    def find(text):
        while parent[text] != text:
            text = parent[text]
        return text

    for a, b in pairs:
        low, high = sorted((find(a), find(b)))
        parent[high] = low
    assert solve(*graph).component.tolist() == [find(text) for text in range(texts)]


@given(graphs(), st.randoms())
def test_the_cover_does_not_depend_on_the_order_of_pairs(graph, random):
    texts, pairs, cosines, order = graph
    mixed = list(zip(pairs, cosines, strict=True))
    random.shuffle(mixed)
    again = solve(texts, [pair[::-1] for pair, _ in mixed], [cosine for _, cosine in mixed], order)
    first = solve(*graph)
    for name in ("kept", "cosines", "component"):
        assert np.array_equal(getattr(first, name), getattr(again, name))


def test_a_chain_is_not_one_group_but_one_component():
    covered = solve(3, [(0, 1), (1, 2)], [0.8, 0.9], [0, 1, 2])
    assert covered.kept.tolist() == [0, 2, 2]
    assert covered.component.tolist() == [0, 0, 0]
