"""What a query is worth, and how that becomes a sampler's reward."""
