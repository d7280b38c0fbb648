"""Where topics and themes come from: what the parent generation said of each text, who carries whose uid, and what has changed.

In: the parent generation's tables and this run's labels. Out: carried uids, events, flow and drift. `identify.py` puts them
together.
"""
