"""The four papers' printed figures as data, and what explains each of them:
`notebooks.kit.printed.efficiency`.
"""

from notebooks.kit.printed.cells import PAPERS, printed_accuracy, printed_efficiency
from notebooks.kit.printed.explain import Figure, agrees

__all__ = ["PAPERS", "Figure", "agrees", "printed_accuracy", "printed_efficiency"]
