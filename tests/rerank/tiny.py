"""Cross-encoders with a head of random weights, built in a fraction of a second."""

from pathlib import Path

import torch
from tokenizers import processors
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer, PreTrainedTokenizerFast

_PAIR = processors.TemplateProcessing(
    single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
)


def build_cross_encoder(folder: Path, encoder: str, *, labels: int = 1, seed: int = 0, small: bool = False) -> str:
    """Save an encoder's transformer with a head of random weights as a cross-encoder, in safetensors; returns its folder.

    `encoder` is the folder of a transformer; `small` says that it is one of `tests.embedding.tiny`, whose tokenizer does
    not know pairs.
    """
    tokenizer = AutoTokenizer.from_pretrained(encoder, local_files_only=True)
    if small:
        tokenizer.backend_tokenizer.post_processor = _PAIR
        if AutoConfig.from_pretrained(encoder, local_files_only=True).model_type == "bert":
            tokenizer = PreTrainedTokenizerFast(
                tokenizer_object=tokenizer.backend_tokenizer,
                model_input_names=["input_ids", "token_type_ids", "attention_mask"],
                **{f"{name}_token": f"[{name.upper()}]" for name in ("unk", "pad", "cls", "sep", "mask")},
                model_max_length=tokenizer.model_max_length,
            )
    body = AutoModel.from_pretrained(encoder, local_files_only=True)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = AutoConfig.from_pretrained(encoder, num_labels=labels, local_files_only=True)
        # A wider head than a new one has: its logits are as far apart as those of a trained one, in parts.
        config.initializer_range = 0.5
        network = AutoModelForSequenceClassification.from_config(config)
    network.base_model.load_state_dict(body.state_dict(), strict=False)
    network.save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    return str(folder)
