"""The compiled part of the core, where it was built: the same answers as its pure-Python twins, sooner.

`pipeline/native/*.c` walks over the words of a text in C. It holds no tables and no rules: these are the twins', which
also do what is rare. Without a compiler the twins do everything; so they do with `EARSHOT_PURE=1`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from sysconfig import get_config_var
from types import ModuleType
from typing import Final, TypeVar

FORM: Final = 7
"""Of the functions and of the tables they are given; NATIVE_FORM in native.h. Another form is not used."""
PURE: Final = "EARSHOT_PURE"

_Twin = TypeVar("_Twin", bound=Callable[..., object])


def _load() -> tuple[ModuleType | None, str]:
    """Return the compiled module, or None and why not."""
    if os.environ.get(PURE, "") not in ("", "0"):
        return None, f"{PURE} is set"
    try:
        module = import_module("pipeline.core._native")
    except ImportError:
        if get_config_var("Py_GIL_DISABLED"):
            return None, "it is not built for a free-threaded Python: run earshot with one that has the GIL"
        return None, "it was not built: install a C compiler and Python's headers, then earshot anew"
    if getattr(module, "FORM", None) != FORM:
        return None, "it was built from other sources: install earshot anew"
    return module, ""


compiled, why_not = _load()
"""The compiled module, or None and the reason, which is empty where it is used."""


def pick(name: str, twin: _Twin) -> _Twin:
    """Return the compiled function of that name, where there is one, else its twin."""
    return twin if compiled is None else getattr(compiled, name)


def rounded_twin(value: float, digits: int) -> float:
    """Return a number rounded to so many digits."""
    return round(value, digits)


rounded: Final[Callable[[float, int], float]] = pick("rounded", rounded_twin)
"""The same; Python's own way is through a text and takes five times as long."""


def used() -> str:
    """Return `compiled` or `pure`: what benchmarks and logs say."""
    return "pure" if compiled is None else "compiled"
