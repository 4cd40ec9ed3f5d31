"""What every estimator shares: scikit-learn's convention, of settings, tags and names of columns."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from clvml.errors import NotFittedError, OptionError, did_you_mean

if TYPE_CHECKING:
    from sklearn.utils import Tags

__all__ = ["Estimator"]


class Estimator:
    """scikit-learn's convention without importing scikit-learn (4 s): `clone`, `get_params`, `set_params`, `repr` work.

    `__init__` only stores its arguments under their own names; what `fit` learns ends in an underscore.
    """

    _fitted: ClassVar[str]
    """The attribute that `fit` sets last."""
    _takes_frame: ClassVar[bool] = True
    """Whether `fit` takes a frame of one row a customer, rather than a log or its snapshots."""
    _classifies: ClassVar[bool] = False

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
                part = getattr(self, name)
                if not isinstance(part, Estimator):
                    raise OptionError(f"{name}={part!r} has no setting '{rest}'. Give {name} a model to set it of.")
                part.set_params(**{rest: value})
            else:
                setattr(self, name, value)
        return self

    @property
    def feature_names_in_(self) -> NDArray[np.object_]:
        """The columns that the fitted model takes from a frame; it may hold others.

        Raises
        ------
        NotFittedError
            Before `fit`; an AttributeError too, so that `hasattr` tells.
        """
        self._check_fitted(self._fitted)
        return np.array(self._columns(), dtype=object)

    @property
    def n_features_in_(self) -> int:
        """How many columns the fitted model takes from a frame."""
        return len(self.feature_names_in_)

    def _columns(self) -> tuple[str, ...]:
        raise NotImplementedError

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, self._fitted)

    def __sklearn_tags__(self) -> Tags:
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags, TransformerTags

        return Tags(
            estimator_type="classifier" if self._classifies else None,
            target_tags=TargetTags(required=self._classifies, one_d_labels=self._classifies),
            classifier_tags=ClassifierTags(multi_class=False) if self._classifies else None,
            transformer_tags=TransformerTags() if hasattr(self, "transform") else None,
            input_tags=InputTags(two_d_array=self._takes_frame, positive_only=False),
        )

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
            raise _not_fitted().of(self)


@functools.cache
def _not_fitted() -> type[NotFittedError]:
    """The class that is scikit-learn's error of that name too, which its tools know; imported when it is raised."""
    from sklearn.exceptions import NotFittedError as OfSklearn

    return type("NotFittedError", (NotFittedError, OfSklearn), {"__doc__": NotFittedError.__doc__})
