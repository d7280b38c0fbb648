"""Who belongs together: themes as communities of the graph, topics as clusters of a theme or a corpus, and votes for the rest.

In: neighbours and cosines as arrays, vectors where they are clustered themselves. Out: a number for every text.
"""
