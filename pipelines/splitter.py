"""How documents are split into passages: by the tokenizer of the embedding model, in windows that the model takes whole."""

from pathlib import Path

from pipelines.config import Config, ConfigurationError
from transforms.corpus import PassageSplitter, load_tokenizer
from transforms.embedding import EncoderSpec, encoder_spec, transformer_folder


def passage_splitter(config: Config) -> PassageSplitter | None:
    """The splitter that `corpus.passage_tokens` asks for; None when documents stay whole.

    Raises ConfigurationError when the model has no `tokenizer.json` or takes fewer tokens than a passage may have.
    """
    corpus = config.corpus
    if corpus.passage_tokens is None:
        return None
    spec = encoder_spec(config.embedding)
    folder = transformer_folder(spec.folder)
    path = Path(folder, "tokenizer.json")
    if not path.is_file():
        raise ConfigurationError(
            f"corpus.passage_tokens {corpus.passage_tokens}: model {spec.model!r} has no tokenizer.json in {folder}; "
            "save its fast tokenizer there, or set corpus.passage_tokens to null"
        )
    _check_window(corpus.passage_tokens, spec, str(path))
    return PassageSplitter(str(path), corpus.passage_tokens, corpus.passage_overlap)


def _check_window(passage_tokens: int, spec: EncoderSpec, path: str) -> None:
    tokenizer = load_tokenizer(path)
    special = tokenizer.num_special_tokens_to_add(False)
    prompt = len(tokenizer.encode(spec.document_prompt or "", add_special_tokens=False))
    limit = spec.token_limit
    if limit is not None and passage_tokens > (room := limit - special - prompt):
        raise ConfigurationError(
            f"corpus.passage_tokens {passage_tokens}: model {spec.model!r} takes {limit} tokens, of which {special} are "
            f"special and {prompt} the document prompt's; set corpus.passage_tokens to at most {room}"
        )
