"""What may be done to a customer, what it costs, for whom, and what it is believed to do: the words of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from clvml.checks import check_amount, check_choice, check_share
from clvml.errors import OptionError, did_you_mean
from clvml.scores.segments import STATES, TIERS

__all__ = ["EFFECTS", "PURPOSES", "Plan", "Purpose", "Treatment"]

EFFECTS = ("save_rate", "extra_return", "extra_contribution", "lift")
"""What a treatment may be said to do; exactly one of them is given."""


@dataclass(frozen=True)
class Purpose:
    """Whom a treatment is for unless it says otherwise. None leaves it open."""

    tiers: tuple[str, ...] | None = None
    states: tuple[str, ...] | None = None
    one_time: bool | None = None
    declining: bool | None = None  # True: who buys for less, too, whatever their state; False: nobody who does


PURPOSES = {
    "any": Purpose(),
    "save": Purpose(tiers=("good",), states=("late", "at risk"), declining=True),
    "second_purchase": Purpose(states=("bought once: early", "bought once: overdue"), one_time=True),
    "move_up": Purpose(tiers=("middle",), states=("on rhythm", "late"), one_time=False),
    "win_back": Purpose(tiers=("good", "middle"), states=("lapsed",)),
    "reward": Purpose(tiers=("good",), states=("on rhythm",), one_time=False, declining=False),
}


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """One thing that can be done to a customer. Money in the log's currency, shares as 0–1.

    Parameters
    ----------
    name : str
        Its name in files and tables; 'none' is taken.
    contact_cost : float, money
        For each customer contacted.
    incentive : float, money
        For each customer who redeems it.
    incentive_share : float, 0 to 1
        Discount on all revenue of a treated buyer while it runs.
    redemption : float, 0 to 1
        Share of those who would have bought anyway that redeem it.
    save_rate, extra_return, extra_contribution, lift : float, exactly one of them
        The effect: share of the value at risk that is saved (of those who would stay away so many are won back, of what
        a decline takes so much); rise of the return probability; money per customer before incentive and contact
        cost; share by which the contribution of the horizon rises.
    effect_sd : float, optional
        Standard deviation of what is believed of the effect. Default: that of Beta(6, 14) at a save rate of 0.3, half
        of any other effect.
    effect_source : str
        Where the effect comes from, for those who read the plan.
    purpose : str
        For whom, in a word: any; save (good and late, at risk or in decline), reward (good and on rhythm),
        second_purchase (bought once, not lapsed), move_up (middle), win_back (lapsed).
    tiers, states : tuple of str, optional
        For whom, in place of what the purpose says. With `states` a decline counts neither for nor against.
    one_time : bool, optional
        True: only buyers of one purchase; False: only repeat buyers.
    min_value, max_value : float, money, optional
        Limits of value_if_kept.
    min_days, max_days : int, days, optional
        Limits of the days since the last purchase, such as the steep part of `clvml.second_purchases`.
    where : mapping of column to allowed values
        Further columns of the scores.
    capacity : int, optional
        The most customers that can get it.

    Raises
    ------
    OptionError
        For settings that contradict or are out of range.

    References
    ----------
    T. Verbraken, W. Verbeke, B. Baesens (2013), A novel profit maximizing metric for measuring classification
    performance of customer churn prediction models, IEEE TKDE 25: the save rate and its Beta(6, 14).

    Examples
    --------
    >>> from clvml import Treatment
    >>> Treatment(name="call", contact_cost=6.0, save_rate=0.3, purpose="save", capacity=200).effect
    ('save_rate', 0.3)
    """

    name: str
    contact_cost: float = 0.0
    incentive: float = 0.0
    incentive_share: float = 0.0
    redemption: float = 1.0
    save_rate: float | None = None
    extra_return: float | None = None
    extra_contribution: float | None = None
    lift: float | None = None
    effect_sd: float | None = None
    effect_source: str = "assumed by the plan, not measured"
    purpose: str = "any"
    tiers: tuple[str, ...] | None = None
    states: tuple[str, ...] | None = None
    one_time: bool | None = None
    min_value: float | None = None
    max_value: float | None = None
    min_days: int | None = None
    max_days: int | None = None
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    capacity: int | None = None

    def __post_init__(self) -> None:
        _check_treatment(self)

    @property
    def effect(self) -> tuple[str, float]:
        """Which effect is stated, and how large."""
        return next((kind, float(getattr(self, kind))) for kind in EFFECTS if getattr(self, kind) is not None)

    @property
    def discounts(self) -> bool:
        """Whether somebody who would buy anyway would get money."""
        return self.incentive > 0 or self.incentive_share > 0

    def allowed(self, field_name: str) -> tuple[str, ...] | None:
        """Allowed tiers or states: the treatment's own words, or those of its purpose."""
        own: tuple[str, ...] | None = getattr(self, field_name)
        usual: tuple[str, ...] | None = getattr(PURPOSES[self.purpose], field_name)
        return own if own is not None else usual

    @property
    def declining(self) -> bool | None:
        """True: for who buys for less, too, whatever their state; False: not for them; None: the state decides."""
        return PURPOSES[self.purpose].declining if self.states is None else None

    @property
    def buyers(self) -> bool | None:
        """True: one-time buyers only; False: repeat buyers only; None: both."""
        return self.one_time if self.one_time is not None else PURPOSES[self.purpose].one_time


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A campaign: its treatments and its rules. The same plan, scores, lists and seed give the same file.

    Parameters
    ----------
    name : str
        Campaigns of different names draw different control groups.
    treatments : tuple of Treatment
        What can be done; each customer gets at most one.
    control_share : float in [0, 1), or 'power'
        Share of those who would be treated that gets nothing; 'power': as many as the expected effect needs.
    max_control_share : float, 0 to 1
        The most that 'power' may take.
    explore_share : float, 0 to 1
        Share of the budget that is left to chance, to learn what is not known: customers drawn whatever is believed of
        them, at the most this share of all, each with a treatment drawn for them, half of them control.
    adapt_shares : bool
        With past campaigns: control_share (where it is a number) and explore_share are those of a first campaign; after
        one campaign with a treatment half of them, after two a third, and so on, but never less than a tenth. A
        treatment counts by the money that it would get if what all treatments do were known, by what is believed of
        them; so it does where the budget left to chance is split.
    holdout_share : float, 0 to 1
        Share of all customers that no campaign of this salt ever treats, to see what all campaigns together do.
    sure_buyer : float, 0 to 1
        Return probability from which no discount is given.
    confidence : float, 0 to 1
        Least probability that treating pays.
    max_contacts : int, optional
        Contacts within any contact_days in a row from which a customer is left alone.
    contact_days : int, days
        Length of that time.
    window_days : int, days, optional
        How long an incentive runs. Default: the horizon of the scores.
    budget_counts : 'expected' or 'worst'
        Outlay that the budget limits: the expected one, or as if every incentive were redeemed.
    salt : str
        The seed: another salt draws other groups.
    method : 'greedy' or 'exact'
        'exact' is an integer programme, for some thousand customers.

    Raises
    ------
    OptionError
        For settings out of range.

    Examples
    --------
    >>> from clvml import Plan, Treatment
    >>> plan = Plan(name="autumn", treatments=(Treatment(name="mail", contact_cost=0.4, save_rate=0.05),))
    >>> Plan.from_dict(plan.to_dict()) == plan
    True
    """

    name: str
    treatments: tuple[Treatment, ...]
    control_share: float | str = 0.10
    max_control_share: float = 0.50
    explore_share: float = 0.0
    adapt_shares: bool = False
    holdout_share: float = 0.02
    sure_buyer: float = 0.90
    confidence: float = 0.60
    max_contacts: int | None = None
    contact_days: int = 30
    window_days: int | None = None
    budget_counts: str = "expected"
    salt: str = "clvml"
    method: str = "greedy"

    def __post_init__(self) -> None:
        _check_plan(self)

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Plan:
        """A plan from plain values as TOML gives them, `treatments` a list of tables. Unknown words are refused."""
        _refuse_unknown(table, cls, "The plan")
        rows = table.get("treatments", ())
        treatments = []
        for i, row in enumerate(rows):
            _refuse_unknown(row, Treatment, f"Treatment '{row.get('name', i + 1)}'")
            if "name" not in row:
                raise OptionError(f"Treatment {i + 1} of the plan has no name.")
            values: dict[str, Any] = {
                key: tuple(value) if key in ("tiers", "states") else value for key, value in row.items()
            }
            values["where"] = {str(k): tuple(map(str, v)) for k, v in row.get("where", {}).items()}
            treatments.append(Treatment(**values))
        if "name" not in table:
            raise OptionError("The plan has no name. It tells campaigns apart when control groups are drawn: give one.")
        return cls(**{**table, "treatments": tuple(treatments)})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without what was left at None."""
        payload = asdict(self)
        payload["treatments"] = [
            {k: list(v) if isinstance(v, tuple) else v for k, v in t.items() if v is not None and v != {}}
            for t in payload["treatments"]
        ]
        return {k: v for k, v in payload.items() if v is not None}


def _refuse_unknown(table: Mapping[str, Any], kind: type[Plan] | type[Treatment], who: str) -> None:
    known = [f.name for f in fields(kind)]
    for key in table:
        if key not in known:
            raise OptionError(f"{who} has no setting '{key}'.{did_you_mean(key, known)} It knows: {', '.join(known)}.")


def _check_treatment(t: Treatment) -> None:
    who = f"Treatment '{t.name}'"
    stated = [kind for kind in EFFECTS if getattr(t, kind) is not None]
    if len(stated) != 1:
        raise OptionError(
            f"{who} states {len(stated)} effects{': ' + ', '.join(stated) if stated else ''}. "
            f"Give exactly one of {', '.join(EFFECTS)}; without an experiment, save_rate = 0.3 is the usual assumption."
        )
    check_choice(f"{who}: purpose", t.purpose, PURPOSES)
    for name, known in (("tiers", TIERS), ("states", STATES)):
        for word in getattr(t, name) or ():
            check_choice(f"{who}: {name}", word, known)
    _at_least_zero(who, t, ("contact_cost", "incentive", "effect_sd", "capacity", "min_days", "max_days"))
    if t.min_days is not None and t.max_days is not None and t.min_days > t.max_days:
        raise OptionError(f"{who}: min_days={t.min_days} is more than max_days={t.max_days}, so it is for nobody.")
    _shares(who, t, ("incentive_share", "redemption", "save_rate", "extra_return"))
    if t.name.strip() in ("", "none"):
        raise OptionError("A treatment needs a name of its own; 'none' means that nothing is done.")


def _check_plan(plan: Plan) -> None:
    who = f"Plan '{plan.name}'"
    if not plan.treatments:
        raise OptionError(f"{who} has no treatments. Add at least one [[treatments]] table with a name and an effect.")
    _distinct(who, [t.name for t in plan.treatments])
    if plan.control_share != "power":
        check_share(f"{who}: control_share", plan.control_share, zero=True, example="0.1, nor 'power'")
    _shares(who, plan, ("explore_share", "holdout_share", "sure_buyer", "confidence", "max_control_share"))
    _at_least_zero(who, plan, ("max_contacts", "contact_days", "window_days"))
    check_choice(f"{who}: budget_counts", plan.budget_counts, ("expected", "worst"))
    check_choice(f"{who}: method", plan.method, ("greedy", "exact"))


def _distinct(who: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise OptionError(f"{who} has two treatments named '{name}'. Give each its own name.")
        seen.add(name)


def _at_least_zero(who: str, thing: object, names: Iterable[str]) -> None:
    for name in names:
        value = getattr(thing, name)
        if value is not None:
            check_amount(f"{who}: {name}", value)


def _shares(who: str, thing: object, names: Iterable[str]) -> None:
    for name in names:
        value = getattr(thing, name)
        if value is not None:
            check_share(f"{who}: {name}", value, zero=True, one=True)
