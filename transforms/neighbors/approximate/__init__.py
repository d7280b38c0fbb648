"""The approximate graph: texts in common buckets and neighbours' neighbours are compared; its recall is measured.

In: the run's vector blocks. Out: the parts of the graph and a certificate of its recall. `graph.py` names the steps in order.
"""
