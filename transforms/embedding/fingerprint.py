"""The encoder fingerprint: declared data that decides a vector, and nothing else."""

import os
import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from transforms.embedding.facts import read_facts, token_limit
from transforms.embedding.models import ModelError, digest_of_model_file, find_model
from transforms.embedding.options import EmbeddingOptions
from transforms.embedding.profiles import Metric, choose_metric, choose_profile
from transforms.files import digest_of

# Raised when the meaning of a stored vector changes for a reason that no other field shows.
FINGERPRINT_VERSION = 2

# Files of a model folder that are descriptions or other backends' copies, and do not decide a vector.
_NOT_DECISIVE = {"README.md", ".gitattributes", "data_config.json", "train_script.py"}
_DECISIVE_SUFFIXES = {".safetensors", ".json", ".txt", ".model"}


@dataclass(frozen=True)
class EncoderSpec:
    """All that decides a vector, as plain values. Not part of the fingerprint: `folder` says where the model is here, `profile`
    which profile its values were completed from.
    """

    model: str
    folder: str
    files: tuple[tuple[str, str], ...]
    document_prompt: str | None
    query_prompt: str | None
    max_tokens: int | None
    truncate_dim: int | None
    precision: str
    normalize: bool = True
    profile: str | None = None

    @property
    def fingerprint(self) -> str:
        """Hex sha256 of the canonical JSON of every field but the folder, the profile's name and the model's spelling."""
        return digest_of({"version": FINGERPRINT_VERSION, **_without(asdict(self), "folder", "model", "profile")})

    def for_elsewhere(self) -> "EncoderSpec":
        """The same without the folder, for a worker of another machine: `find_here` finds the model there."""
        if self.folder == os.path.abspath(self.model):
            return replace(self, model=self.folder, folder="")
        # The hub's client keeps a model under its commit: the workers have this one, perhaps no other, perhaps more.
        commit = re.search(r"/snapshots/([0-9a-f]{40})$", self.folder)
        return replace(self, model=self.model if commit is None else f"{self.model}@{commit[1]}", folder="")

    @property
    def name(self) -> str:
        """What the model is called: the last part of its hub name or folder."""
        return self.model.rstrip("/").rsplit("/", 1)[-1]

    @property
    def token_limit(self) -> int | None:
        """Tokens that the encoder takes, special ones and prompt included, by the model's files; None when they do not say."""
        return min((limit for limit in (self.max_tokens, token_limit(self.folder)) if limit is not None), default=None)

    @property
    def metric(self) -> Metric:
        """What the index compares vectors by: unit vectors by cosine, vectors as the model gives them by dot product."""
        return "cosine" if self.normalize else "dot"


def encoder_spec(options: EmbeddingOptions, precision: str | None = None) -> EncoderSpec:
    """Describe the encoder that `options` ask for, reading the model's files but not loading the model.

    `precision` says what "auto" stands for; without it "auto" is fp32. Prompts are the options', else the model's own, else its
    profile's; for the metric see `choose_metric`. Raises ModelError when the model cannot be found or has another metric.
    """
    folder = find_model(options.model, options.revision)
    facts, profile = read_facts(folder), choose_profile(options.model, options.profile)
    return EncoderSpec(
        model=options.model,
        folder=folder,
        files=_file_digests(folder),
        document_prompt=_first(
            options.document_prompt, facts.document_prompt, None if profile is None else profile.document_prompt
        ),
        query_prompt=_first(options.query_prompt, facts.query_prompt, None if profile is None else profile.query_prompt),
        max_tokens=options.max_tokens,
        truncate_dim=options.truncate_dim,
        precision=(precision or "fp32") if options.precision == "auto" else options.precision,
        normalize=choose_metric(options.model, options.metric, facts.metric, profile) == "cosine",
        profile=None if profile is None else profile.name,
    )


def find_here(spec: EncoderSpec) -> EncoderSpec:
    """`spec` with the folder that its model has on this machine, unchanged if it has one.

    Raises ModelError when the model is not here, or is not the same.
    """
    if spec.folder:
        return spec
    found = re.fullmatch(r"(?P<name>[^@]+)@(?P<commit>[0-9a-f]{40})", spec.model)
    folder = find_model(spec.model) if found is None else find_model(found["name"], found["commit"])
    if missing := sorted(set(spec.files) ^ set(_file_digests(folder))):
        raise ModelError(
            f"model {spec.model!r} in {folder} on this worker is not the one that the run was started with: {missing[0][0]} "
            "differs. Start the run with the image that the workers have, or put the same model into both"
        )
    return replace(spec, folder=folder)


def _file_digests(folder: str) -> tuple[tuple[str, str], ...]:
    root = Path(folder)
    names = sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_file()
        and path.suffix in _DECISIVE_SUFFIXES
        and path.name not in _NOT_DECISIVE
        # onnx/ and openvino/ hold converted copies of the same weights.
        and path.relative_to(root).parts[0] not in ("onnx", "openvino")
    )
    return tuple((name, digest_of_model_file(os.path.join(folder, name))) for name in names)


def _first(*prompts: str | None) -> str | None:
    return next((prompt for prompt in prompts if prompt is not None), None)


def _without(values: dict, *names: str) -> dict:
    return {name: value for name, value in values.items() if name not in names}
