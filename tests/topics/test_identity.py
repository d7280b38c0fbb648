import hashlib

from hypothesis import given
from hypothesis import strategies as st

from transforms.topics import topic_uid

keys = st.sets(st.binary(min_size=32, max_size=32), min_size=1, max_size=5)


@given(keys, st.randoms())
def test_uid_does_not_depend_on_order(members, random):
    shuffled = list(members)
    random.shuffle(shuffled)
    assert topic_uid(shuffled) == topic_uid(members)


@given(keys, keys)
def test_uid_tells_sets_apart(first, second):
    assert (topic_uid(first) == topic_uid(second)) == (first == second)


def test_uid_never_changes_its_recipe():
    key = hashlib.sha256(b"a text").digest()
    assert topic_uid([key]) == hashlib.sha256(b"corpusbeam topic\0" + key).hexdigest()[:16]
