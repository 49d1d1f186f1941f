"""A lane whose rows are asked one by one at a provider's synchronous API, behind the four verbs of a batch."""
