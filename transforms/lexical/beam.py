"""The Beam wrapper of the lexical room."""

from transforms.step import StepTransform


class LexicalStep(StepTransform):
    """Tasks → records of one of the steps in `steps.py`, such as `count_words`, with LexicalOptions."""
