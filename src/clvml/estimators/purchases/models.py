"""Models of repeat purchases as estimators, and the way back from their saved form."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from clvml.checks import check_choice, check_whole
from clvml.errors import ModelError, OptionError, did_you_mean
from clvml.estimators.fit import fit
from clvml.estimators.histories import Histories, counts_of
from clvml.estimators.purchases.covariates import CovariateModel
from clvml.estimators.purchases.discrete import BetaGeoBetaBinomialModel
from clvml.estimators.purchases.model import PurchaseModel
from clvml.maths import HistoryModule, PurchaseModule
from clvml.maths.models import bgnbd, mbgnbd, nbd, paretonbd
from clvml.maths.models.cnbdk import Erlang
from clvml.maths.sample import Floats
from clvml.maths.unique_pairs import UniquePairs
from clvml.tables import check_summary

__all__ = [
    "BetaGeoBetaBinomialModel",
    "BetaGeoErlangModel",
    "BetaGeoModel",
    "ModifiedBetaGeoErlangModel",
    "ModifiedBetaGeoModel",
    "NBDModel",
    "ParetoNBDModel",
    "PurchaseModel",
    "purchase_model_from",
]


class BetaGeoModel(CovariateModel):
    """BG/NBD (Fader, Hardie & Lee 2005): params_ r, alpha (a time), a, b."""

    kind: ClassVar[str] = "BG/NBD"
    module: ClassVar[HistoryModule[Any]] = bgnbd


class ModifiedBetaGeoModel(CovariateModel):
    """MBG/NBD (Batislam et al. 2007): as BG/NBD, but one-time buyers may have left. params_ r, alpha (time), a, b."""

    kind: ClassVar[str] = "MBG/NBD"
    module: ClassVar[HistoryModule[Any]] = mbgnbd


class ParetoNBDModel(CovariateModel):
    """Pareto/NBD (Schmittlein et al. 1987): customers leave at any time. params_ r, alpha (time), s, beta (time)."""

    kind: ClassVar[str] = "Pareto/NBD"
    module: ClassVar[HistoryModule[Any]] = paretonbd

    def _p_alive_of(self, x: Floats, t_x: Floats, T: Floats, cached: UniquePairs) -> Floats:
        """As in PurchaseModel; an integral for each frequency and age, here those at the last purchase and now."""
        self._check_fitted("params_")
        unit = self.unit_days
        places = [cached.find(x, when) for when in (t_x, T)]
        leaving = cached.column("leaving_weight", lambda x, age: paretonbd.leaving_weight(self.params_, x, age / unit))
        early, late = (leaving[place] for place in places)
        return paretonbd.p_alive_given(self.params_, x, t_x / unit, T / unit, early, late)


class NBDModel(PurchaseModel):
    """NBD (Ehrenberg 1959): nobody ever leaves; the limit of the others, and a baseline. params_ r, alpha (a time)."""

    kind: ClassVar[str] = "NBD"
    module: ClassVar[PurchaseModule[Any]] = nbd

    @property
    def _memoryless(self) -> bool:
        """As in PurchaseModel."""
        return True


class BetaGeoErlangModel(PurchaseModel):
    """BG/CNBD-k (Reutterer et al. 2021): regular buyers, whose gaps are Erlang-k. params_ r, alpha (a time), a, b.

    k: stages a gap has, or None to choose it by likelihood, up to 12 (k_ is what was used; 1 is BG/NBD). Needs the
    summary's column log_gaps as well.
    """

    kind: ClassVar[str] = "BG/CNBD-k"
    module: ClassVar[PurchaseModule[Any]] = bgnbd
    _extra_flips: ClassVar[float] = 0.0

    def __init__(
        self,
        *,
        time_unit: Literal["day", "week"] = "day",
        prior: Literal["weak"] | None = None,
        k: int | None = None,
    ) -> None:
        super().__init__(time_unit=time_unit, prior=prior)
        self.k = k

    def fit(self, summary: pd.DataFrame, y: None = None, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to frequency, recency, T (days) and log_gaps, for the k given or the likeliest."""
        del y  # scikit-learn's pipelines pass it
        prior = check_choice("prior", self.prior, (None, "weak"))
        rows = self._histories(check_summary(summary, ("log_gaps",)), sample_weight)
        log_gaps = float(counts_of(len(summary), sample_weight) @ summary["log_gaps"].to_numpy(float))
        sample = self._sample(rows)
        sample = sample._replace(log_gaps=log_gaps - sample.purchases * float(np.log(self.unit_days)))
        first, *more = range(1, MAX_STAGES + 1) if self.k is None else (check_whole("k", self.k, most=MAX_STAGES),)
        self.k_, found = first, fit(Erlang(first, self._extra_flips), sample, prior=prior)
        for k in more:
            tried = fit(Erlang(k, self._extra_flips), sample, prior=prior)
            if tried.log_likelihood <= found.log_likelihood:
                break
            self.k_, found = k, tried
        return self._learn(found, rows)

    @property
    def name(self) -> str:
        """The model with its k, where it has one."""
        k = getattr(self, "k_", self.k)
        return self.kind if k is None else self.kind.replace("-k", f"-{k}")

    def _module_for(self, rows: Histories) -> Erlang:
        return Erlang(self.k_, self._extra_flips)

    def to_dict(self) -> dict[str, Any]:
        """As every model, and k."""
        return super().to_dict() | {"k": self.k_}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """The model that `to_dict` told. Raises ModelError where it is not one."""
        model = super().from_dict(saved)
        try:
            model.k_ = check_whole("k", saved.get("k"), most=MAX_STAGES)
        except OptionError as error:
            raise ModelError(f"The saved model is damaged: {error}") from None
        return model


class ModifiedBetaGeoErlangModel(BetaGeoErlangModel):
    """MBG/CNBD-k: as BG/CNBD-k, but one-time buyers may have left."""

    kind: ClassVar[str] = "MBG/CNBD-k"
    module: ClassVar[PurchaseModule[Any]] = mbgnbd
    _extra_flips: ClassVar[float] = 1.0


MAX_STAGES = 12


_MODELS: dict[str, type[PurchaseModel]] = {
    cls.__name__: cls
    for cls in (
        BetaGeoModel,
        ModifiedBetaGeoModel,
        ParetoNBDModel,
        NBDModel,
        BetaGeoErlangModel,
        ModifiedBetaGeoErlangModel,
        BetaGeoBetaBinomialModel,
    )
}


def purchase_model_from(saved: dict[str, Any]) -> PurchaseModel:
    """The model of purchases that a `to_dict` told, whichever it is. Raises ModelError where it is none of them."""
    name = saved.get("type") if isinstance(saved, dict) else None
    if name not in _MODELS:
        raise ModelError(
            f"{name!r} is no model of purchases.{did_you_mean(str(name), _MODELS)} It is one of {', '.join(_MODELS)}."
        )
    return _MODELS[name].from_dict(saved)
