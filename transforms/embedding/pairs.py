"""The packed forward pass for cross-encoders, which read two texts as one."""

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transforms.embedding.packed import PackedEncoder

_log = logging.getLogger(__name__)


def pack_pairs(encoder: Any, device: Any, precision: str) -> "PackedEncoder | None":
    """The forward pass of a cross-encoder's transformer up to the first token's vector; None, with a message in the log, for an
    architecture that it does not compute.
    """
    from transforms.embedding.architectures import UnsupportedModelError, pair_weights
    from transforms.embedding.packed import PackedEncoder

    try:
        return PackedEncoder(pair_weights(encoder), device, precision)
    except UnsupportedModelError as reason:
        _log.warning("the cross-encoder is run by the library with padding, not packed: %s", reason)
        return None
