"""What every estimator shares: its settings are its constructor's arguments. Nothing else belongs here."""

from __future__ import annotations

import inspect
from typing import Any, Self

from clvml.errors import NotFittedError, OptionError, did_you_mean

__all__ = ["Estimator"]


class Estimator:
    """scikit-learn's convention without importing scikit-learn (4 s): `clone`, `get_params`, `set_params`, `repr` work.

    `__init__` only stores its arguments under their own names; what `fit` learns ends in an underscore.
    """

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings; with `deep`, also those of nested estimators, as `part__setting`."""
        params = {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}
        if deep:
            for name, value in list(params.items()):
                if isinstance(value, Estimator):
                    params |= {f"{name}__{key}": v for key, v in value.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Change settings by name. Raises OptionError for one that does not exist."""
        own = inspect.signature(type(self)).parameters
        for key, value in params.items():
            name, _, rest = key.partition("__")
            if name not in own:
                raise OptionError(
                    f"{type(self).__name__} has no setting '{name}'.{did_you_mean(name, own)} It has: {', '.join(own)}."
                )
            if rest:
                getattr(self, name).set_params(**{rest: value})
            else:
                setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """The settings that differ from their defaults, as a call."""
        own = inspect.signature(type(self)).parameters
        changed = [
            f"{n}={getattr(self, n)!r}"
            for n, p in own.items()
            if getattr(self, n) is not p.default and getattr(self, n) != p.default
        ]
        return f"{type(self).__name__}({', '.join(changed)})"

    def _check_fitted(self, attribute: str) -> None:
        if not hasattr(self, attribute):
            raise NotFittedError.of(self)
