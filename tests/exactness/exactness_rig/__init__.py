"""A rig that loads real gateways, breaks things, and holds their sums against what was really produced."""
