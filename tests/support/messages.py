"""Messages as the consumer returns them."""


class FakeMessage:
    def __init__(self, value, offset=0, *, partition=0, key=b"k", headers=None, timestamp=(1, 5)):
        self._fields = (value, offset, partition, key, headers, timestamp)

    def __len__(self):
        return len(self.value() or b"")

    def topic(self):
        return "in"

    def value(self):
        return self._fields[0]

    def offset(self):
        return self._fields[1]

    def partition(self):
        return self._fields[2]

    def key(self):
        return self._fields[3]

    def headers(self):
        return self._fields[4]

    def timestamp(self):
        return self._fields[5]
