"""A sentence-transformers model of 16 dimensions with random weights, built in a fraction of a second."""

from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Dense, Normalize, Pooling, Transformer
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

DIM = 16
MAX_TOKENS = 32
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_LETTERS, *(f"##{c}" for c in _LETTERS), ":", "query", "passage"]

ARCHITECTURES = {
    "BertModel": (BertConfig, BertModel),
    "RobertaModel": (RobertaConfig, RobertaModel),
    "XLMRobertaModel": (XLMRobertaConfig, XLMRobertaModel),
    "DistilBertModel": (DistilBertConfig, DistilBertModel),
    "MPNetModel": (MPNetConfig, MPNetModel),
}


def build_model(
    folder: Path,
    prompts: dict[str, str] | None = None,
    default_prompt_name: str | None = None,
    *,
    dense: bool = False,
    normalize: bool = False,
    similarity: str | None = None,
    architecture: str = "BertModel",
    pooling: str = "mean",
    name: str = "model",
    seed: int = 0,
) -> str:
    """Save a small encoder, by default a BERT with mean pooling, as `folder/name`, in safetensors; returns its folder.

    Letters are its tokens.

    `similarity` is the metric that it states; without one the library states cosine.
    """
    words = WordPiece({word: i for i, word in enumerate(_VOCABULARY)}, unk_token="[UNK]", max_input_chars_per_word=100)
    tokenizer = Tokenizer(words)
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_max_length=MAX_TOKENS,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        make_config, make_model = ARCHITECTURES[architecture]
        config = make_config(
            vocab_size=len(_VOCABULARY),
            hidden_size=DIM,
            num_hidden_layers=2,
            num_attention_heads=2,
            # RoBERTa and MPNet count positions from behind the padding's.
            max_position_embeddings=MAX_TOKENS + (0 if architecture in ("BertModel", "DistilBertModel") else 2),
            pad_token_id=0,
            # Larger than usual, or all texts of an untrained model would have nearly the same vector.
            initializer_range=0.5,
            **({"hidden_dim": 32} if architecture == "DistilBertModel" else {"intermediate_size": 32}),
        )
        make_model(config).save_pretrained(folder / "bert")
        fast.save_pretrained(folder / "bert")
        modules = [Transformer(str(folder / "bert")), Pooling(DIM, pooling), *([Dense(DIM, 12)] if dense else [])]
        model = SentenceTransformer(
            modules=[*modules, Normalize()] if normalize else modules,
            prompts=prompts,
            default_prompt_name=default_prompt_name,
            similarity_fn_name=similarity,
            device="cpu",
        )
    model.save_pretrained(str(folder / name))
    return str(folder / name)
