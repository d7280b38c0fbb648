"""Configuration as it may be shown: no password, token, key or signed URL leaves the machine in a report."""

import re
from typing import Any

from transforms.files import redact

_SECRET_WORDS = frozenset(
    {"secret", "secrets", "token", "password", "passwd", "pwd", "credential", "credentials", "signature", "sas", "auth"}
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]+")
MASK = "***"


def is_secret_name(name: str) -> bool:
    """Whether a setting of this name holds a secret: `api_key`, `hfToken`, `password`; not `tokenizer` or `max_tokens`."""
    parts = [part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]
    return bool(parts) and (not _SECRET_WORDS.isdisjoint(parts) or parts[-1] in ("key", "keys"))


def without_secrets(value: Any, name: str = "") -> Any:
    """A copy of a JSON value in which secrets are `***`: by the setting's name, and credentials inside URLs.

    Numbers and switches are shown whatever their name: they are sizes and choices, not secrets.
    """
    if isinstance(value, dict):
        inherited = name if is_secret_name(name) else ""
        return {key: without_secrets(item, inherited or str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(item, name) for item in value]
    if isinstance(value, str):
        return MASK if is_secret_name(name) and value else safe_text(value)
    return value


def safe_text(text: str) -> str:
    """The text with user names, passwords and parameters removed from the URLs in it."""
    return _URL.sub(lambda match: _safe_url(match.group()), text)


def _safe_url(url: str) -> str:
    # A query with parameters is a signature more often than not; a lone question mark is a glob pattern.
    return re.sub(r"\?[^#]*=[^#]*", "?" + MASK, redact(url))
