"""What the router does with the seeded free tiers: the real pipeline, mock providers, a virtual clock."""
