"""What happens to the data: one room per domain, plain functions on numpy and Arrow, with Beam only in `beam.py`."""
