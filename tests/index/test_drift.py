from dataclasses import replace

import numpy as np
import pytest

from transforms.index import (
    Encoded,
    Spread,
    Training,
    choose_type,
    drift_reasons,
    growth_reasons,
    measured_for,
    most_lists,
    same_kind,
    type_beside,
)
from transforms.index.training import distance_steps

THEN = Encoded(10_000, distance_steps(np.full(10_000, 0.5, np.float32)), 1000, 10_000_000)
TRAINING = Training("IVF64,SQ8", "f" * 64, 4096, THEN, Spread(1.2, 0.02), Encoded(), Spread(1.2, 0.02))


def added(texts: int, distance: float = 0.5, clipped: float = 0.0001) -> Encoded:
    steps = distance_steps(np.full(texts, distance, np.float32))
    return Encoded(texts, steps, round(clipped * 1000 * texts), 1000 * texts)


@pytest.mark.parametrize(
    ("encoded", "spread", "reasons"),
    [
        (added(4000), Spread(1.2, 0.02), ()),
        (added(4000, distance=0.57), Spread(1.2, 0.02), ()),
        (added(4000, distance=0.58), Spread(1.2, 0.02), ("new texts are 0.58 from the centroids",)),
        # One odd text is no drift.
        (added(999, distance=0.9, clipped=0.1), Spread(1.2, 0.02), ()),
        (added(1000, clipped=0.00105), Spread(1.2, 0.02), ()),
        (added(1000, clipped=0.0012), Spread(1.2, 0.02), ("0.12% of the components of new vectors",)),
        (added(1), Spread(1.79, 0.03), ()),
        (added(1), Spread(1.81, 0.02), ("the imbalance of the lists is 1.81",)),
        (added(1), Spread(1.2, 0.031), ("3.1% of the lists have more than 4 times",)),
        (
            added(1000, distance=0.9, clipped=0.1),
            Spread(9.0, 0.9),
            ("new texts", "10.00% of the components", "the imbalance", "90.0% of the lists"),
        ),
    ],
)
def test_reasons_to_train_again(encoded, spread, reasons):
    found = list(drift_reasons(TRAINING, encoded, spread))
    assert len(found) == len(reasons)
    assert all(reason.startswith(start) for reason, start in zip(found, reasons, strict=True))


def test_growth_counts_all_texts_since_training():
    assert not list(growth_reasons(TRAINING, 5000))
    assert list(growth_reasons(TRAINING, 5001)) == ["5,001 texts came since training, more than 50% of the 10,000 at training"]
    later = replace(TRAINING, added=added(3000))
    assert not list(growth_reasons(later, 2000))
    assert len(list(growth_reasons(later, 2001))) == 1


def test_recall_must_be_had_at_twice_the_price_at_most():
    assert most_lists(TRAINING) is None
    assert most_lists(replace(TRAINING, nprobe=8)) == 16


def test_more_lists_for_another_target_or_other_queries_are_no_drift():
    noted = replace(TRAINING, nprobe=8, recall_target=0.9, queries="abc")
    assert most_lists(measured_for(noted, 0.9, "abc")) == 16
    for target, queries in ((0.99, "abc"), (0.9, None), (0.9, "other")):
        assert most_lists(measured_for(noted, target, queries)) is None
        # The generation's own table of recall has what it needed, for the next one.
        assert measured_for(noted, target, queries) == TRAINING


def test_a_type_stays_until_the_border_is_passed_by_a_factor_of_two():
    for border in (100_000, 1_000_000, 10_000_000):
        below, above = choose_type(border), choose_type(border + 1)
        for published in (below, above):
            for texts in (border // 2 + 1, border - 1, border, border + 1, 2 * border - 1):
                assert same_kind(type_beside(published, texts), published)
        assert same_kind(type_beside(below, 2 * border + 2), above)
        assert same_kind(type_beside(above, border // 2 - 1), below)
    assert type_beside("IDMap2,Flat", 60_000) == type_beside("IDMap2,Flat", 150_000) == "IDMap2,Flat"
    # The number of lists goes with the size.
    assert type_beside("IVF2048,SQfp16", 900_000) == choose_type(900_000) == "IVF4096,SQfp16"
    # A type that auto does not choose for anything near.
    assert type_beside("RR,IVF65536_HNSW32,RaBitQ4", 50_000) == "IDMap2,Flat"
