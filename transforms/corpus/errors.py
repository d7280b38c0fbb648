"""What stops a run in this room: input that cannot be planned, too much quarantine, an id collision."""


class InputError(ValueError):
    """The input cannot be used. One line: the offending value and what to do about it."""


class QuarantineLimitError(Exception):
    """More rows went to quarantine than `max_quarantine_fraction` allows. One line."""


class IdCollisionError(Exception):
    """Two different texts of this corpus have the same 63-bit id (not expected below a few billion documents). One line."""
