"""Defaults that the command line shows before anything is loaded."""

DEFAULT_ROOT = "output"
