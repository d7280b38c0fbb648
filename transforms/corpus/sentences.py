"""Where sentences begin, by punctuation and layout only: no language is assumed and no list of abbreviations is kept.

A sentence ends with
- `. ! ? …` (and the marks of Arabic, Urdu, Armenian and Ethiopic), closing quotes or brackets after it included, before white
  space. The white space keeps 3.14, U.S.A. and example.org together;
- the full stops of scripts that put no space after them (Chinese, Japanese, the Indic danda, Burmese, Khmer), where they stand;
- a blank line, or a line that begins with a bullet or a number, as in lists.
"Dr. Smith" is taken for two sentences. The places are only used to cut long texts where it is natural, so a wrong one costs
elegance and nothing else; a segmenter that knows the abbreviations of each language would cost a dependency and its time.
"""

import re

import numpy as np

_CLOSING = r"""["'”’»›)\]}」』】）〉》]*"""
_BOUNDARY = re.compile(
    # Looking back at one mark, not for a run of them, keeps the search linear where a text has a million dots.
    rf"(?<=[.!?…‥؟۔։።፧]){_CLOSING}\s+"
    rf"|(?<=[。！？｡．।॥။។])(?![。！？｡．।॥။។]){_CLOSING}\s*"
    r"|\n[^\S\n]*\n\s*"
    r"|\n[^\S\n]*(?=(?:[-*+•‣◦·–—]|\d{1,3}[.)])[^\S\n])"
)
_LIST_NUMBER = re.compile(r"\d{1,3}\.\s+")


def sentence_starts(text: str) -> np.ndarray:
    """Positions of characters at which a sentence begins, int64 ascending; neither the text's first nor one past its end."""
    starts, last = [], 0
    for match in _BOUNDARY.finditer(text):
        at = match.end()
        if at < len(text) and not _LIST_NUMBER.fullmatch(text, last, at):
            starts.append(at)
        last = at
    return np.array(starts, np.int64)
