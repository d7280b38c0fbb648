"""Identity of topics and themes: a name that is a function of the members only."""

import hashlib
from collections.abc import Iterable


class TopicDigest:
    """The name of a topic whose members come some at a time, by ascending content key."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256(b"corpusbeam topic\0")

    def add(self, member_keys: Iterable[bytes]) -> None:
        """Take more members: content keys of 32 bytes, none smaller than those before."""
        for key in member_keys:
            self._digest.update(key)

    def uid(self) -> str:
        """The name of a topic of the members so far: see `topic_uid`."""
        return self._digest.hexdigest()[:16]


def topic_uid(member_keys: Iterable[bytes]) -> str:
    """16 hex characters from the content keys (32 bytes each) of a topic's members, in any order.

    Equal members give an equal uid in every run. A topic that changed gets another one here; carrying the uid of the
    parent generation's topic is a decision on top of this. Two of a million topics collide with probability 3e-8.
    """
    digest = TopicDigest()
    digest.add(sorted(member_keys))
    return digest.uid()


def theme_uid(resolution: float, members_uid: str) -> str:
    """16 hex characters for a theme, from its layer's resolution and the `topic_uid` of its members."""
    return hashlib.sha256(f"corpusbeam theme {float(resolution)!r} {members_uid}".encode()).hexdigest()[:16]
