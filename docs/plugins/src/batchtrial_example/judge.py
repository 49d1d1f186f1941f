"""A rubric by name: `judges: [{name: short, rubric: brevity}]`."""

from __future__ import annotations

from batchtrial.config.judge_recipes import JudgeRecipe

RUBRIC = """Does the answer say no more than the question asks for?

- "wordy": there is more than the question asks for.
- "fitting": there is what was asked for, and little else.
- Whether it is right is not your matter here.
"""
RECIPE = JudgeRecipe(name="brevity", rubric=RUBRIC, settings={"kind": "choice", "choices": {"wordy": 0.0, "fitting": 1.0}})
