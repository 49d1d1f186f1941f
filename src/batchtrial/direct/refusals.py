"""What a refusal says of the account rather than of the request: no money is left, or the key is not taken. One table for batches and for rows."""

from __future__ import annotations

import re
from typing import Final

SPENT_CODES: Final = frozenset(
    {
        "insufficient_quota",
        "enforced_spend_limit_reached",
        "billing_hard_limit_reached",
        "billing_error",
        "spend_limit_reached",
    }
)
SPENT_WORDS: Final = re.compile(r"spend(ing)? (limit|cap)|out of credit|used all available credits|account is suspended", re.IGNORECASE)
"""Of providers without a code of their own for it: a failed precondition or too many requests, and words."""
KEY_CODES: Final = frozenset({"unauthorized", "unauthenticated", "invalid_api_key", "api_key_invalid"})
KEY_WORDS: Final = re.compile(r"(api key not valid|incorrect api key|invalid api key|missing api key)", re.IGNORECASE)
"""What a refusal begins with that is about the key: further on it may quote the request."""


def is_spent(status: int, code: str, text: str) -> bool:
    """Whether the account has no money left, which waiting does not lift."""
    return status == 402 or (status in (403, 412, 429) and (code in SPENT_CODES or SPENT_WORDS.search(text) is not None))


def is_key_refused(status: int, code: str, text: str) -> bool:
    """Whether the key is not taken, whatever is asked with it."""
    return status == 401 or (status in (400, 403) and (code.lower() in KEY_CODES or KEY_WORDS.match(text) is not None))
