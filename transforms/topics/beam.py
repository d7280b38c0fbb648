"""The Beam wrapper of the topics room."""

from transforms.step import StepTransform


class TopicsStep(StepTransform):
    """Tasks → records of one of the steps in `steps.py`, such as `count_texts`, with TopicsOptions."""
