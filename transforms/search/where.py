"""Conditions on the columns of documents, in the words of SQL: read here, computed by Arrow, and never run as code.

    condition  = term { "or" term };  term = factor { "and" factor };  factor = [ "not" ] ( "(" condition ")" | comparison )
    comparison = column ( "=" | "!=" | "<>" | "<" | "<=" | ">" | ">=" ) value
               | column [ "not" ] ( "in" "(" value { "," value } ")" | "like" text | "ilike" text | "contains" text
               | "between" value "and" value )
               | column "is" [ "not" ] "null" | column
    value      = 'text' | number | "true" | "false" | [ "date" | "timestamp" ] 'ISO 8601'

As in SQL, a comparison with a value that is absent is neither true nor false, and a row is kept only where the whole is true.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt


class WhereError(ValueError):
    """A condition that cannot be read, or does not fit the columns."""


# Digits are possessive: before a wrong character, looking for fewer of them costs the square of their number.
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>'(?:[^']|'')*')
      | (?P<number>[+-]?(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][+-]?\d++)?+)(?![\w.])
      | "(?P<quoted>(?:[^"]|"")+)"
      | (?P<word>[^\W\d]\w*)
      | (?P<sign><=|>=|!=|<>|[=<>(),])
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_KEYWORDS = {
    *("and", "or", "not", "in", "like", "ilike", "contains", "between", "is", "null", "true", "false", "date", "timestamp")
}
_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
# Nested deeper, a condition is a mistake or an attack, and Python's own stack would end.
_DEEPEST = 100
_LONGEST = 100_000
# No column has room for more, and Python refuses to read 4,300 digits.
_LONGEST_NUMBER = 1000


@dataclass(frozen=True)
class _Token:
    kind: str
    value: Any
    at: int


@dataclass(frozen=True)
class Where:
    """A condition that has been read: the columns it names, and how to compute it."""

    text: str
    columns: tuple[str, ...]
    _build: Callable[[pa.Schema], pc.Expression]

    def expression(self, schema: pa.Schema) -> pc.Expression:
        """The condition on a table with this schema. Raises WhereError for a column that is not there or of another type."""
        missing = [name for name in self.columns if name not in schema.names]
        if missing:
            raise WhereError(
                f"--where: there is no column {missing[0]!r}; columns are {', '.join(schema.names)}. Others are kept with "
                "corpus.metadata_columns"
            )
        return self._build(schema)


def parse_where(text: str) -> Where:
    """Read a condition. Raises WhereError, which says where, for one that cannot be read."""
    if len(text) > _LONGEST:
        raise WhereError(f"--where: the condition has {len(text):,} characters; at most {_LONGEST:,} are read")
    return _Reader(text).read()


_Build = Callable[[pa.Schema], pc.Expression]


class _Reader:
    """Recursive descent over the tokens of one condition."""

    def __init__(self, text: str) -> None:
        self._text, self._columns = text, dict[str, None]()
        self._tokens, self._next, self._depth = list(self._read_tokens()), 0, 0

    def read(self) -> Where:
        build = self._condition()
        if self._token.kind != "end":
            self._fail("expected `and`, `or` or the end")
        return Where(self._text, tuple(self._columns), build)

    def _read_tokens(self) -> "list[_Token]":
        tokens, at = [], 0
        while True:
            match = _TOKEN.match(self._text, at)
            if match is None:
                start = at + len(self._text[at:]) - len(self._text[at:].lstrip())
                raise WhereError(f"--where: cannot read {self._text[start : start + 20]!r} at character {start + 1}")
            kind = str(match.lastgroup)
            start, value = match.start(kind), match[kind]
            if kind == "text":
                value = value[1:-1].replace("''", "'")
            elif kind == "quoted":
                kind, value = "column", value.replace('""', '"')
            elif kind == "number":
                if len(value) > _LONGEST_NUMBER:
                    raise WhereError(
                        f"--where: the number at character {start + 1} has {len(value):,} characters; at most "
                        f"{_LONGEST_NUMBER:,} are read"
                    )
                value = int(value) if re.fullmatch(r"[+-]?\d+", value) else float(value)
            elif kind == "word":
                kind, value = ("keyword", value.lower()) if value.lower() in _KEYWORDS else ("column", value)
            tokens.append(_Token(kind, value, start))
            if kind == "end":
                return tokens
            at = match.end()

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self, *values: str) -> str | None:
        """The keyword or sign that comes next, if it is one of these."""
        token = self._token
        if token.kind in ("keyword", "sign") and token.value in values:
            self._next += 1
            return str(token.value)
        return None

    def _need(self, value: str) -> None:
        if self._take(value) is None:
            self._fail(f"expected `{value}`")

    def _fail(self, what: str) -> NoReturn:
        rest = self._text[self._token.at : self._token.at + 20]
        raise WhereError(f"--where: {what} {f'before {rest!r}' if rest else 'at the end'} (character {self._token.at + 1})")

    def _condition(self) -> _Build:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise WhereError(f"--where: more than {_DEEPEST} conditions inside each other")
        parts = [self._term()]
        while self._take("or"):
            parts.append(self._term())
        self._depth -= 1
        return _joined(parts, lambda a, b: a | b)

    def _term(self) -> _Build:
        parts = [self._factor()]
        while self._take("and"):
            parts.append(self._factor())
        return _joined(parts, lambda a, b: a & b)

    def _factor(self) -> _Build:
        negated = False
        while self._take("not"):
            negated = not negated
        if self._take("("):
            build = self._condition()
            self._need(")")
        else:
            build = self._comparison()
        return _not(build) if negated else build

    def _comparison(self) -> _Build:
        token = self._token
        if token.kind != "column":
            name = f", one that is called {token.value} in double quotes," if token.kind == "keyword" else ""
            self._fail(f"expected a column{name}")
        self._next += 1
        name = token.value
        self._columns[name] = None
        if sign := self._take(*_SIGNS):
            value = self._value()
            return lambda schema: _SIGNS[sign](pc.field(name), value(name, schema))
        if self._take("is"):
            there = self._take("not") is not None
            self._need("null")
            return lambda _: pc.field(name).is_valid() if there else pc.field(name).is_null()
        negated = self._take("not") is not None
        if self._take("in"):
            build = self._in(name)
        elif self._take("between"):
            low = self._value()
            self._need("and")
            high = self._value()
            build = _between(name, low, high)
        elif found := self._take("like", "ilike", "contains"):
            pattern = self._token
            if pattern.kind != "text":
                self._fail("expected 'text'")
            self._next += 1
            build = _matching(name, found, pattern.value)
        elif negated:
            self._fail("expected `in`, `like`, `ilike`, `contains` or `between`")
        else:
            return lambda schema: _flag(name, schema)
        return _not(build) if negated else build

    def _in(self, name: str) -> _Build:
        self._need("(")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        self._need(")")

        def build(schema: pa.Schema) -> pc.Expression:
            scalars = [value(name, schema) for value in values]
            # Arrow says that an absent value is in no list; SQL says neither yes nor no.
            found = pc.field(name).isin(pa.array([one.as_py() for one in scalars], scalars[0].type))
            return pc.if_else(pc.field(name).is_valid(), found, pa.scalar(None, pa.bool_()))

        return build

    def _value(self) -> Callable[[str, pa.Schema], pa.Scalar]:
        token = self._token
        kind = self._take("date", "timestamp", "true", "false")
        if kind in ("true", "false"):
            return lambda name, schema: _scalar(kind == "true", "bool", name, schema)
        if kind is not None:
            token = self._token
            if token.kind != "text":
                self._fail("expected 'ISO 8601'")
        elif token.kind not in ("text", "number"):
            self._fail("expected 'text', a number, true, false or date '2024-05-31'")
        self._next += 1
        return lambda name, schema: _scalar(token.value, kind or token.kind, name, schema)


def _joined(parts: list[_Build], join: Callable[[Any, Any], Any]) -> _Build:
    if len(parts) == 1:
        return parts[0]

    def build(schema: pa.Schema) -> pc.Expression:
        built = [part(schema) for part in parts]
        # In halves: an expression of thousands of conditions must not be thousands of levels deep.
        while len(built) > 1:
            pairs = [built[i : i + 2] for i in range(0, len(built), 2)]
            built = [join(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
        return built[0]

    return build


def _not(build: _Build) -> _Build:
    return lambda schema: ~build(schema)


def _between(name: str, low: Callable[..., pa.Scalar], high: Callable[..., pa.Scalar]) -> _Build:
    return lambda schema: (pc.field(name) >= low(name, schema)) & (pc.field(name) <= high(name, schema))


def _flag(name: str, schema: pa.Schema) -> pc.Expression:
    if not pt.is_boolean(schema.field(name).type):
        raise WhereError(f"--where: column {name!r} alone is no condition, it is {_kind(schema.field(name).type)}: compare it")
    return pc.field(name)


def _matching(name: str, how: str, pattern: str) -> _Build:
    def build(schema: pa.Schema) -> pc.Expression:
        if not _is_text(schema.field(name).type):
            raise WhereError(f"--where: `{how}` is for texts, column {name!r} is {_kind(schema.field(name).type)}")
        if how == "contains":
            return pc.match_substring(pc.field(name), pattern)
        return pc.match_substring_regex(pc.field(name), _regular(pattern), ignore_case=how == "ilike")

    return build


def _regular(pattern: str) -> str:
    """A pattern of `like` as a regular expression. Raises WhereError for one that is too large."""
    # Not by `match_like`: to some patterns of it a backslash is an escape, in SQL it is a character.
    pieces = "".join({"%": ".*", "_": "."}.get(character) or re.escape(character) for character in pattern)
    found = rf"(?s)\A{pieces}\z"
    try:
        pc.match_substring_regex(pa.array([""]), found)
    except pa.ArrowInvalid as error:
        raise WhereError(f"--where: the pattern {pattern[:20]!r}… is too large ({error}): write a shorter one") from error
    return found


def _scalar(value: Any, kind: str, name: str, schema: pa.Schema) -> pa.Scalar:
    """A value in the type of the column that it is compared with. Raises WhereError where it has none."""
    column = schema.field(name).type
    try:
        if pt.is_timestamp(column) and kind in ("text", "date", "timestamp"):
            moment = datetime.fromisoformat(value)
            if column.tz is None:
                moment = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
            elif moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            return pa.scalar(moment, column)
        if _is_text(column) and kind in ("text", "date", "timestamp"):
            return pa.scalar(value, column)
        if pt.is_boolean(column) and kind == "bool":
            return pa.scalar(value, column)
        if kind == "number" and pt.is_floating(column):
            return pa.scalar(float(value), pa.float64())
        if kind == "number" and pt.is_integer(column):
            if value != int(value):
                raise WhereError(f"--where: column {name!r} has whole numbers only: compare it with one, not with {value!r}")
            return pa.scalar(int(value), pa.int64())
    except WhereError:
        raise
    except (ValueError, OverflowError, pa.ArrowInvalid) as error:
        raise WhereError(f"--where: {value!r} does not fit column {name!r}, which is {_kind(column)} ({error})") from error
    example = {"a text": "'text'", "a time": "'2024-05-31'", "true or false": "true"}.get(_kind(column), "a number")
    raise WhereError(f"--where: column {name!r} is {_kind(column)} and cannot be compared with {value!r}: write {example}")


def _is_text(kind: pa.DataType) -> bool:
    return bool(pt.is_string(kind) or pt.is_large_string(kind))


def _kind(kind: pa.DataType) -> str:
    if _is_text(kind):
        return "a text"
    if pt.is_timestamp(kind):
        return "a time"
    return "true or false" if pt.is_boolean(kind) else f"a number ({kind})"
