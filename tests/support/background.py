"""Where calls run that the stream's thread does not wait for, without threads."""

from concurrent.futures import Future


class Later:
    """A background whose calls run when a test says so."""

    def __init__(self):
        self.calls = []

    def __call__(self, call, name):
        outcome = Future()
        self.calls.append((name, call, outcome))
        return outcome

    def run(self):
        """Run what waits; returns the names of the calls."""
        calls, self.calls = self.calls, []
        for _, call, outcome in calls:
            try:
                outcome.set_result(call())
            except Exception as error:  # noqa: BLE001 - all of it is the asking thread's
                outcome.set_exception(error)
        return [name for name, _, _ in calls]
