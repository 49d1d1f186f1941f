"""Tests of batchtrial.stats."""
