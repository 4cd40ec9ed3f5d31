"""Who gets what under a budget and capacities: a multiple-choice knapsack.

`allocate` walks one path of rising cost, by gain per money; where capacities are short it walks on gain less the price
of the places, which the Lagrangian dual gives. `allocate_exact` is the integer programme.
"""

from clvml.campaigns.allocation.allocate import Allocation, allocate
from clvml.campaigns.allocation.exact import allocate_exact

__all__ = ["Allocation", "allocate", "allocate_exact"]
