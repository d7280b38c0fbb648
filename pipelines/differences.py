"""What differs between the settings that are published and those of the next run, and what each difference costs."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pipelines.config import Config, result_settings
from transforms.embedding import EncoderSpec

_ALL_AGAIN = "every text is embedded again"
_STAY = "vectors, index and neighbour graph stay as they are"

# By section, or by key where it differs from its section.
_EFFECTS = {
    "corpus": "the documents are read anew; texts that have a stored vector are not embedded again",
    "corpus.passage_tokens": "documents are split anew; only passages without a stored vector are embedded",
    "corpus.passage_overlap": "documents are split anew; only passages without a stored vector are embedded",
    "index": "the index is built again from the stored vectors",
    "neighbors": "the neighbour graph is computed again from the stored vectors, and what follows from it",
    "duplicates": f"pairs and groups are found again; {_STAY}",
    "topics": f"topics are found again; {_STAY}",
    "search": f"the lexical index is built or left out; {_STAY}",
    "report": f"the page is written again; {_STAY}",
}

# Fields of the encoder by the key that sets them. The others decide no vector (`query_prompt` does: it is in the fingerprint).
_ENCODER = {
    "document_prompt": "embedding.document_prompt",
    "query_prompt": "embedding.query_prompt",
    "max_tokens": "embedding.max_tokens",
    "truncate_dim": "embedding.truncate_dim",
    "precision": "embedding.precision",
}


@dataclass(frozen=True)
class Difference:
    """One setting: its key, the published value, the value now, and what a run does because of it."""

    key: str
    published: Any
    now: Any
    effect: str

    def line(self) -> str:
        """`embedding.model: A → B: every text is embedded again`."""
        return f"{self.key}: {_shown(self.published)} → {_shown(self.now)}: {self.effect}"


def differences(
    published_encoder: Mapping[str, Any], published: Mapping[str, Any], spec: EncoderSpec, config: Config
) -> list[Difference]:
    """Everything that makes a run publish another generation from the same documents, the encoder first."""
    return [*_of_encoder(published_encoder, spec), *_of_settings(published, config)]


def _of_encoder(published: Mapping[str, Any], spec: EncoderSpec) -> Iterator[Difference]:
    now = asdict(spec)
    if published.get("fingerprint") == spec.fingerprint:
        return
    before, after = dict(published.get("files") or {}), dict(spec.files)
    found = False
    if before != after:
        found = True
        other = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        if published.get("model") != spec.model:
            yield Difference("embedding.model", published.get("model"), spec.model, _ALL_AGAIN)
        else:
            named = ", ".join(other[:3]) + (f" and {len(other) - 3} more" if len(other) > 3 else "")
            yield Difference("embedding.model", spec.model, f"{spec.model} with another {named}", _ALL_AGAIN)
    for field, key in _ENCODER.items():
        if published.get(field) != now[field]:
            found = True
            yield Difference(key, published.get(field), now[field], _ALL_AGAIN)
    if published.get("normalize") != spec.normalize:
        found = True
        yield Difference("embedding.metric", published.get("metric"), spec.metric, _ALL_AGAIN)
    if not found:
        yield Difference("encoder", published.get("fingerprint"), f"{spec.fingerprint} of this version", _ALL_AGAIN)


def _of_settings(published: Mapping[str, Any], config: Config) -> Iterator[Difference]:
    now = result_settings(config)
    for section, effect in _EFFECTS.items():
        if "." in section:
            continue
        before, after = published.get(section) or {}, now[section]
        for name in after:
            key = f"{section}.{name}"
            # A key that the published run did not know yet had no other value than its default.
            if name in before and before[name] != after[name]:
                yield Difference(key, before[name], after[name], _EFFECTS.get(key, effect))


def _shown(value: Any) -> str:
    if isinstance(value, str):
        # Prompts end in a space that decides vectors.
        return value if value and value == value.strip() else repr(value)
    return "none" if value is None else str(value)
