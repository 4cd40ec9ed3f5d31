"""How value moves: over kept scores, between tiers, by customer."""
