"""What is computed of a fit stands under the fit's guard: an error is a row with its reason."""

from __future__ import annotations

import traceback
from collections.abc import Callable

type Say = Callable[[str], None]


def silent(line: str) -> None:
    """Says nothing."""


def guarded[Made, Instead](
    make: Callable[[], Made], instead: Callable[[str], Instead], say: Say, who: str
) -> Made | Instead:
    """What make() gives or, where it breaks off, what stands in its place, by the reason.

    say: gets the whole story, for the log, of whom it is.
    """
    try:
        return make()
    except Exception as error:  # whatever happened: the rows of all others are kept
        say(f"{who}: failed\n{traceback.format_exc()}")
        return instead(f"{type(error).__name__}: {' '.join(str(error).split())}")
