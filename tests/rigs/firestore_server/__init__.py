"""A Firestore that speaks the protocol google.firestore.v1, for tests; in memory, with a journal."""
