"""What tokens cost at batch rate, from a dated table shipped with the package, and the exact cost of some usage."""

from batchtrial.prices.cost import Price, cost_usd
from batchtrial.prices.table import Source, price_of, source

__all__ = ["Price", "Source", "cost_usd", "price_of", "source"]
