"""Identity of topics and themes: a name that is a function of the members only."""

import hashlib
from collections.abc import Iterable


def topic_uid(member_keys: Iterable[bytes]) -> str:
    """16 hex characters from the content keys (32 bytes each) of a topic's members, in any order.

    Equal members give an equal uid in every run. A topic that changed gets another one here; carrying the uid of the
    parent generation's topic is a decision on top of this. Two of a million topics collide with probability 3e-8.
    """
    return _uid(b"corpusbeam topic\0", member_keys)


def theme_uid(resolution: float, member_keys: Iterable[bytes]) -> str:
    """As `topic_uid`, of a theme: equal members at another resolution have another one."""
    return _uid(f"corpusbeam theme {float(resolution)!r}\0".encode(), member_keys)


def _uid(kind: bytes, member_keys: Iterable[bytes]) -> str:
    digest = hashlib.sha256(kind)
    for key in sorted(member_keys):
        digest.update(key)
    return digest.hexdigest()[:16]
