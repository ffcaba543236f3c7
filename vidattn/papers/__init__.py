"""The four papers' printed figures as data, and what explains each of them:
`vidattn.papers.efficiency`.
"""

from vidattn.papers.explain import Figure, agrees
from vidattn.papers.printed import PAPERS, printed_accuracy, printed_efficiency

__all__ = ["PAPERS", "Figure", "agrees", "printed_accuracy", "printed_efficiency"]
