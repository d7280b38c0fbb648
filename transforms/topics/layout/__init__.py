"""Layouts of a neighbour graph: a few dimensions to cluster in, and the map of two to look at.

In: neighbours and cosines as arrays. Out: coordinates.
"""
