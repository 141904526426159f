"""A client's request across nodes: who is asked, how many must answer, what the answer is."""
