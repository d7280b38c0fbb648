"""Identity of a topic: a name that is a function of its members only."""

import hashlib
from collections.abc import Iterable


def topic_uid(member_keys: Iterable[bytes]) -> str:
    """16 hex characters from the content keys (32 bytes each) of a topic's members, in any order.

    Equal members give an equal uid in every run. A topic that changed gets another one here; carrying the uid of the
    parent generation's topic is a decision on top of this. Two of a million topics collide with probability 3e-8.
    """
    digest = hashlib.sha256(b"corpusbeam topic\0")
    for key in sorted(member_keys):
        digest.update(key)
    return digest.hexdigest()[:16]
