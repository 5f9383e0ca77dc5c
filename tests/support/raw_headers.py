"""Records that no client library would write."""

from __future__ import annotations

import ctypes
from pathlib import Path

import confluent_kafka


def produce_raw_header(bootstrap: str, topic: str, value: bytes, name: bytes) -> None:
    """Produce a record with a header's name of any bytes, by librdkafka's own functions."""
    folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    library = ctypes.CDLL(str(next(folder.glob("librdkafka*"))))
    for function in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_headers_new"):
        getattr(library, function).restype = ctypes.c_void_p
    error = ctypes.create_string_buffer(512)
    conf = ctypes.c_void_p(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(conf, b"bootstrap.servers", bootstrap.encode(), error, 512)
    producer = ctypes.c_void_p(library.rd_kafka_new(0, conf, error, 512))
    headers = ctypes.c_void_p(library.rd_kafka_headers_new(1))
    size = ctypes.c_ssize_t
    library.rd_kafka_header_add(headers, name, size(len(name)), b"v", size(1))
    # Tagged arguments: 1 topic, 4 value and its size, 7 flags (2: copy), 10 headers, 0 the end.
    tagged = (1, topic.encode(), 4, value, size(len(value)), 7, 2, 10, headers, 0)
    assert library.rd_kafka_producev(producer, *tagged) == 0
    assert library.rd_kafka_flush(producer, 10_000) == 0
    library.rd_kafka_destroy(producer)
