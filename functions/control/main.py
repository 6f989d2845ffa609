"""The control plane: the transparency log, its exports and proofs, and what was spent, over REST."""

from sluicegate.wiring.control import control, serve

app = control()  # an ASGI application; opens nothing until it is served

if __name__ == "__main__":
    serve(app)
