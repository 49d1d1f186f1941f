"""What tokens cost, from dated tables shipped with the package, and the exact cost of some usage."""

from batchtrial.prices.cost import SAME_TIER, Price, cost_usd
from batchtrial.prices.table import Source, price_of, source

__all__ = ["SAME_TIER", "Price", "Source", "cost_usd", "price_of", "source"]
