"""Which texts people look at, and the event that asks them to. Pure: no Kafka, no clock.

The same message gives the same choice and the same item in every replica and at every redelivery.
"""
