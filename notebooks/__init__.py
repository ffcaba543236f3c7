"""The book: a literate notebook for each paper, what the pages share, and the rows at full
scale.
"""
