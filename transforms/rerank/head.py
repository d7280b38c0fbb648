"""The classification heads of cross-encoders: from the first token's vector to a logit, by the model's own modules, in fp32."""

from collections.abc import Callable
from typing import Any

import numpy as np

Head = Callable[[np.ndarray], np.ndarray]


def head_of(network: Any) -> Head | None:
    """The head of a transformers model for sequence classification, float32 (n, width) to (n,); None where it is not known."""
    import torch

    compute = _HEADS.get(type(network).__name__)
    if compute is None:
        return None

    @torch.inference_mode()
    def head(first: np.ndarray) -> np.ndarray:
        vectors = torch.from_numpy(first).to(network.device)
        return compute(network, vectors)[:, 0].float().cpu().numpy()

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
