"""Rebuild the price table from the installed release of genai-prices: python -m scripts.update_prices --day 2026-11-22."""

from batchtrial.prices.update import main

if __name__ == "__main__":
    raise SystemExit(main())
