"""Words of a text: which pieces can be part of a term."""

import re

# Combining marks are not \w for Python, so that they would cut words of Indic, Thai, Arabic and Hebrew text in pieces.
_MARKS = "\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0900-\u0963\u0966-\u0dff\u0e30-\u0e4e"
# Han characters and hiragana, which are written without spaces, are a piece each: terms of several are what words are made of.
# (A word of katakana is written in one.)
_ALONE = "\u3040-\u309f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"

# Before the @ of an address at most as many characters as a whole address may have (RFC 5321, section 4.5.3.1.3, without the
# brackets): unbounded, a long run of dots would be read to its end from each of them.
_LOCAL = r"[\w.+-]{1,254}+"


def _piece(letter: str, alone: str) -> str:
    """An address, an elided article, a word, or one other character.

    What is not a word stays in the sequence, so that no term reaches over it.
    """
    word = rf"{letter}+(?:[-'’]{letter}+)*\+*"  # (C++ and g++ are words)
    # What French, Italian and Catalan shorten before a vowel: a word of its own, which is no term.
    elided = rf"(?<!\w)(?:[cdjlmnst]|(?:jus|lors|puis|quoi)?qu|(?:d|n|s|c)?[ae]ll|sull|un|quest|quell)['’](?={letter})"
    return rf"(?:https?://|www\.)\S+|{_LOCAL}@[\w-]+\.[\w.]+|{elided}|{alone}{word}|\S"


_LETTER = rf"[\w{_MARKS}]"
_PIECE = re.compile(_piece(_LETTER, ""))
# Three times as slow.
_PIECE_WITH_ALONE = re.compile(_piece(rf"(?:(?![{_ALONE}]){_LETTER})", f"[{_ALONE}]|"))
_IS_WORD = re.compile(rf"{_LETTER}+(?:[-'’]{_LETTER}+)*\+*")
_IS_ALONE = re.compile(f"[{_ALONE}]")

# Words that say how a sentence is built and not what it is about. The lists of libraries have more of English: computer, home,
# system, text and group are stop words there, and what topics are called here.
_STOP_WORDS_TEXT = """
a about above across after again against all almost alone along already also although always am among an and another any
anyone anything are aren't around as at away back be became because become becomes been before behind being below
beside besides between beyond both but by can can't cannot could couldn't did didn't do does doesn't doing don't done down
due during each eg either else enough etc even ever every everyone everything except few for from further had hadn't has
hasn't have haven't having he her here hers herself him himself his how however i i'd i'll i'm i've ie if in indeed
instead into is isn't it it's its itself just least less let let's like made make makes many may maybe me might mine more
moreover most mostly much must my myself near neither never no nobody none nor not nothing now of off often on once one
only onto or other others otherwise ought our ours ourselves out over own per perhaps please quite rather re really s same
shall she should shouldn't since so some someone something sometimes somewhere still such t than that that's the
their theirs them themselves then there there's thereby therefore these they they're this those though through
throughout thus to together too toward towards two under unless until up upon us use used uses using various very via was
wasn't we we're well were weren't what when whenever where whereas wherever whether which while who whoever whole whom
whose why will with within without won't would wouldn't yes yet you you'd you'll you're you've your yours yourself
yourselves"""
ENGLISH_STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())


def pieces(text: str) -> list[str]:
    """The lower-cased words, addresses and single other characters of a text, in order."""
    text = text.lower()
    return (_PIECE_WITH_ALONE if _IS_ALONE.search(text) else _PIECE).findall(text)


def joined(head: str, tail: str) -> str:
    """A term and the word after it as one term: with a space between them, unless both are written without."""
    together = _IS_ALONE.match(head[-1]) and _IS_ALONE.match(tail)
    return f"{head}{tail}" if together else f"{head} {tail}"


def bare(piece: str) -> str:
    """A word as lists of stop words have it: with straight apostrophes, and none at its ends."""
    return piece.replace("’", "'").strip("_'-")


def is_term_word(piece: str) -> bool:
    """Whether a piece may be part of a term: a word with a letter, no number, version, hash, address or elided article.

    Short names such as mp3, x86 and 3d stay; of longer ones at most half may be digits. One Latin letter is no term. Whether it
    is a stop word depends on the language: see `languages`.
    """
    word = bare(piece)
    if not _IS_WORD.fullmatch(piece) or len(piece) > 40:
        return False
    letters = sum(character.isalpha() for character in word)
    digits = sum(character.isdigit() for character in word)
    if len(word) < 2:
        return letters == 1 and ord(word) > 0x2E80  # one CJK character is a word
    return letters > 0 and (digits <= letters or len(word) <= 4)
