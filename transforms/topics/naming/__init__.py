"""What topics and themes are called: terms counted over their texts, weighed and varied, and documents that stand for them.

In: passages, labels and vector blocks. Out: terms, titles, representative and boundary documents. `naming.py` joins them.
"""
