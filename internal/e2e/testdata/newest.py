"""Reads topics to their ends, each record with the newest schema of its topic, and prints a line of JSON for each.

newest.py BROKERS REGISTRY TOPIC...
"""

import json
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

brokers, registry, *topics = sys.argv[1:]
registry = SchemaRegistryClient({"url": registry})
consumer = Consumer({"bootstrap.servers": brokers, "group.id": "newest", "isolation.level": "read_committed", "enable.auto.commit": False, "enable.partition.eof": True})


def text(value):
    """Dates, which JSON does not have."""
    return value.isoformat(timespec="milliseconds")


for topic in topics:
    newest = registry.get_latest_version(topic + "-value").schema
    value_of = AvroDeserializer(registry, newest.schema_str)
    left = set(consumer.list_topics(topic).topics[topic].partitions)
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in left])
    while left:
        record = consumer.poll(1)
        if record is None:
            continue
        if record.error():
            if record.error().code() != KafkaError._PARTITION_EOF:
                sys.exit(str(record.error()))
            left.discard(record.partition())
            continue
        value = value_of(record.value(), SerializationContext(topic, MessageField.VALUE))
        print(json.dumps({"topic": topic, "key": record.key().decode(), "value": value}, default=text))
