"""What every capability may use: errors, time, identifiers, money, tenancy, events."""
