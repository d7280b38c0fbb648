"""What a person should know of a run's encoder: sentences computed from plain values and the model's files."""

from collections.abc import Mapping

from transforms.embedding.canary import MINIMUM_COSINE, Fidelity
from transforms.embedding.fingerprint import EncoderSpec
from transforms.embedding.packable import is_packable

# Above this share of documents cut short it is worth splitting them; a few long ones are in every corpus.
_MANY_TRUNCATED = 0.01
# A window that most models take, and what is left of shorter ones beside special tokens and prompts.
_PASSAGE_TOKENS = 200


def truncation_warnings(spec: EncoderSpec, counts: Mapping[str, int]) -> list[str]:
    """A warning when more than 1 % of the documents are cut at the model's limit; reads the model's files, not the model."""
    truncated, documents = counts["documents_truncated"], counts["documents"]
    if truncated <= _MANY_TRUNCATED * documents:
        return []
    taken = spec.token_limit
    limit = "its limit of tokens" if taken is None else f"{taken:,} tokens"
    window = _PASSAGE_TOKENS if taken is None else min(_PASSAGE_TOKENS, taken * 3 // 4)
    return [
        f"{truncated:,} of {documents:,} documents ({truncated / documents:.1%}) are longer than the {limit} that the model "
        f"takes: the rest of them is not searched. Set corpus.passage_tokens={window} to index them as passages."
    ]


def packing_warnings(spec: EncoderSpec) -> list[str]:
    """A warning for a model that the packed forward pass does not know: it works, but costs more."""
    if is_packable(spec.folder):
        return []
    return [
        f"{spec.name} is embedded by the library's encode, with padding: only BERT, RoBERTa, DistilBERT and MPNet models with "
        "mean or first-token pooling have this project's faster forward pass."
    ]


def fidelity_warnings(spec: EncoderSpec, fidelity: Fidelity | None) -> list[str]:
    """A warning with figures when the vectors differ from the model's own by more than rounding."""
    if fidelity is None or fidelity.min_cosine >= MINIMUM_COSINE:
        return []
    return [
        f"embedding.precision={spec.precision} changes the vectors: on {fidelity.texts} texts the cosine to the model's own in "
        f"fp32 is {fidelity.mean_cosine:.4f} on average and {fidelity.min_cosine:.4f} at worst."
    ]
