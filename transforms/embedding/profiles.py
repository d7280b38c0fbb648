"""What is known of common models without loading them: dimension, length, metric, prompts, and what they were trained for.

Sources: the models' cards on the hub, as of 2025; for the models of sentence-transformers also the tables "Pretrained Models"
and "MSMARCO Models" of sbert.net, for E5 the FAQ of intfloat/e5-base-v2, for BGE the model list of FlagEmbedding.
"""

from dataclasses import dataclass
from typing import Literal

from transforms.embedding.models import ModelError

Metric = Literal["cosine", "dot"]

# Says in place of a profile's name that none is wanted.
NO_PROFILE = "none"


@dataclass(frozen=True)
class ModelProfile:
    """One model as its authors describe it.

    `dimension` and `max_tokens` tell sizes before the model is loaded; a loaded model of another dimension is refused.
    `metric` is what its vectors were trained for: cosine compares directions, dot also lengths. Prompts (None: none) stand in
    where the model's own files name none. `use` is symmetric for texts that say the same, asymmetric for passages that answer
    a query, or both.
    """

    name: str
    dimension: int
    max_tokens: int
    metric: Metric
    use: Literal["symmetric", "asymmetric", "both"]
    document_prompt: str | None = None
    query_prompt: str | None = None

    def dimension_after(self, truncate_dim: int | None) -> int:
        """Dimension of its vectors when only the first `truncate_dim` are kept (None: all)."""
        return min(self.dimension, truncate_dim or self.dimension)


def _e5(name: str, dimension: int) -> ModelProfile:
    return ModelProfile(name, dimension, 512, "cosine", "asymmetric", "passage: ", "query: ")


def _bge(name: str, dimension: int, instruction: str) -> ModelProfile:
    # Passages never get the instruction, so documents can be compared with each other.
    return ModelProfile(name, dimension, 512, "cosine", "both", None, instruction)


_BGE_ENGLISH = "Represent this sentence for searching relevant passages: "
_BGE_CHINESE = "为这个句子生成表示以用于检索相关文章："
_SIZES = {"small": 384, "base": 768, "large": 1024}

_PROFILES = [
    ModelProfile("all-MiniLM-L6-v2", 384, 256, "cosine", "both"),
    ModelProfile("all-MiniLM-L12-v2", 384, 128, "cosine", "both"),
    ModelProfile("all-mpnet-base-v2", 768, 384, "cosine", "both"),
    ModelProfile("all-distilroberta-v1", 768, 512, "cosine", "both"),
    ModelProfile("paraphrase-MiniLM-L6-v2", 384, 128, "cosine", "symmetric"),
    ModelProfile("paraphrase-multilingual-MiniLM-L12-v2", 384, 128, "cosine", "symmetric"),
    ModelProfile("paraphrase-multilingual-mpnet-base-v2", 768, 128, "cosine", "symmetric"),
    ModelProfile("multi-qa-MiniLM-L6-cos-v1", 384, 512, "cosine", "asymmetric"),
    ModelProfile("multi-qa-distilbert-cos-v1", 768, 512, "cosine", "asymmetric"),
    ModelProfile("multi-qa-mpnet-base-cos-v1", 768, 512, "cosine", "asymmetric"),
    ModelProfile("multi-qa-MiniLM-L6-dot-v1", 384, 512, "dot", "asymmetric"),
    ModelProfile("multi-qa-distilbert-dot-v1", 768, 512, "dot", "asymmetric"),
    ModelProfile("multi-qa-mpnet-base-dot-v1", 768, 512, "dot", "asymmetric"),
    ModelProfile("msmarco-distilbert-base-v4", 768, 512, "cosine", "asymmetric"),
    ModelProfile("msmarco-MiniLM-L6-cos-v5", 384, 512, "cosine", "asymmetric"),
    ModelProfile("msmarco-MiniLM-L12-cos-v5", 384, 512, "cosine", "asymmetric"),
    ModelProfile("msmarco-distilbert-cos-v5", 768, 512, "cosine", "asymmetric"),
    ModelProfile("msmarco-distilbert-dot-v5", 768, 512, "dot", "asymmetric"),
    ModelProfile("msmarco-bert-base-dot-v5", 768, 512, "dot", "asymmetric"),
    ModelProfile("msmarco-distilbert-base-tas-b", 768, 512, "dot", "asymmetric"),
    *(_e5(f"e5-{size}{version}", dimension) for size, dimension in _SIZES.items() for version in ("", "-v2")),
    *(_e5(f"multilingual-e5-{size}", dimension) for size, dimension in _SIZES.items()),
    *(_bge(f"bge-{s}-en{version}", d, _BGE_ENGLISH) for s, d in _SIZES.items() for version in ("", "-v1.5")),
    *(_bge(f"bge-{s}-zh{version}", d, _BGE_CHINESE) for s, d in {**_SIZES, "small": 512}.items() for version in ("", "-v1.5")),
    ModelProfile("bge-m3", 1024, 8192, "cosine", "both"),
]
PROFILES = {profile.name.casefold(): profile for profile in _PROFILES}


def find_profile(model: str) -> ModelProfile | None:
    """The profile of a model's name, hub name or folder: by its last part, in any case. None when there is none."""
    return PROFILES.get(model.rstrip("/\\").replace("\\", "/").rsplit("/", 1)[-1].casefold())


def choose_profile(model: str, wanted: str | None) -> ModelProfile | None:
    """The profile that `embedding.profile` asks for: None goes by the model's name, "none" takes none."""
    return None if wanted == NO_PROFILE else find_profile(model if wanted is None else wanted)


def choose_metric(model: str, wanted: Metric | None, stated: str | None, profile: ModelProfile | None) -> Metric:
    """The metric that vectors are compared by: what is wanted, else `trained_metric`.

    Raises ModelError when the model was made for another one, which FAISS and the neighbour graph do not compute.
    """
    if wanted is not None:
        return wanted
    match trained_metric(stated, profile):
        case None | "cosine":
            return "cosine"
        case "dot":
            return "dot"
        case other:
            raise ModelError(
                f"model {model!r} states similarity_fn_name {other!r}, and only cosine and dot are supported; "
                "choose with embedding.metric=cosine (directions only) or embedding.metric=dot (directions and lengths)"
            )


def trained_metric(stated: str | None, profile: ModelProfile | None) -> str | None:
    """What a model's vectors were trained for, None where nothing says it.

    What its files state comes first, except "cosine": sentence-transformers writes that whenever nobody chose, so that a saved
    copy of a dot-product model may say it. Then the profile's, then that.
    """
    if stated is not None and stated != "cosine":
        return stated
    return stated if profile is None else profile.metric


def check_dimension(model: str, profile_name: str | None, truncate_dim: int | None, dimension: int) -> None:
    """Raise ModelError when a loaded model's (truncated) dimension is not the one of its profile."""
    profile = None if profile_name is None else find_profile(profile_name)
    if profile is not None and dimension != profile.dimension_after(truncate_dim):
        raise ModelError(
            f"model {model!r} gives {dimension} dimensions, but its profile {profile.name} has {profile.dimension}: it is "
            "another model of that name. Set embedding.profile=none, and embedding.metric and the prompts if it needs them, or "
            "rename its folder"
        )
