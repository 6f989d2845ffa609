"""Events that Google pushes: Pub/Sub's subscriptions and Eventarc."""
