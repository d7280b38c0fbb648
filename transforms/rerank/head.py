"""The classification heads of cross-encoders: from the first token's vector to a logit, by the model's own modules, in fp32."""

from collections.abc import Callable
from typing import Any

import numpy as np

# Vectors that a head computes at a time.
_ROWS = 32

Head = Callable[[np.ndarray], np.ndarray]


def head_of(network: Any) -> Head | None:
    """The head of a transformers model for sequence classification, float32 (n, width) to (n,); None where it is not known."""
    import torch

    compute = _HEADS.get(type(network).__name__)
    if compute is None:
        return None

    @torch.inference_mode()
    def head(first: np.ndarray) -> np.ndarray:
        # Kernels choose their order of summation by the number of rows: it is the same whatever pairs are beside one.
        filled = np.concatenate([first, np.zeros((-len(first) % _ROWS, first.shape[1]), np.float32)])
        parts = torch.from_numpy(filled).to(network.device).split(_ROWS)
        return torch.cat([compute(network, part)[:, 0] for part in parts]).float().cpu().numpy()[: len(first)]

    return head


def _bert(network: Any, first: Any) -> Any:
    # The pooler takes the first token of what it is given.
    return network.classifier(network.bert.pooler(first[:, None]))


def _roberta(network: Any, first: Any) -> Any:
    return network.classifier(first[:, None])


def _distilbert(network: Any, first: Any) -> Any:
    return network.classifier(network.pre_classifier(first).relu())


_HEADS: dict[str, Callable[[Any, Any], Any]] = {
    "BertForSequenceClassification": _bert,
    "RobertaForSequenceClassification": _roberta,
    "XLMRobertaForSequenceClassification": _roberta,
    "DistilBertForSequenceClassification": _distilbert,
}
