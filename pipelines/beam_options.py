"""Beam's options, asked for often: each view of them is made once."""

from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions


class BeamOptions(PipelineOptions):
    """Options whose view as a class is the same object every time.

    Beam asks for a view at every step of every job, and each time builds a parser of all arguments of that class: a quarter of
    the time of a run over few documents. All views of one object share their values, so that one is as good as another.
    """

    def view_as(self, cls: type[Any]) -> Any:
        """The view as a class of options."""
        # Beam takes every attribute that is set for the value of an option.
        views: dict[type[Any], Any] = self.__dict__.setdefault("_views", {})
        if cls not in views:
            views[cls] = super().view_as(cls)
        return views[cls]
