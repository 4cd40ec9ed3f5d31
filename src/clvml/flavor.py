"""Where models registered by clvml 0.1.0 say that their loader is; it is `clvml.tracking.flavor` now."""

from clvml.tracking.flavor import _load_pyfunc

__all__ = ["_load_pyfunc"]
