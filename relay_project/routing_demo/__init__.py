"""What the router does with the seeded free tiers, shown by the real pipeline over mock providers and a virtual clock."""
