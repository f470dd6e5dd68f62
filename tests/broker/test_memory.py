"""The in-memory broker: other processes of this machine can use it too."""

import os
import subprocess
import sys

from confluent_kafka import Consumer, Producer

from pipeline.broker import memory
from pipeline.broker.memory import MemoryBroker

WRITES = """
import sys
from confluent_kafka import Producer
producer = Producer({"bootstrap.servers": sys.argv[1]})
producer.produce("t", b"from another process")
sys.exit(producer.flush(10))
"""


def test_another_process_can_write_and_this_one_reads():
    with MemoryBroker() as broker:
        broker.make(["t"])
        subprocess.run([sys.executable, "-c", WRITES, broker.bootstrap], check=True, timeout=30)
        consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g", "auto.offset.reset": "earliest"})
        consumer.subscribe(["t"])
        messages = consumer.consume(1, 20)
        consumer.close()
        assert [m.value() for m in messages] == [b"from another process"]


def test_it_speaks_transactions():
    with MemoryBroker() as broker:
        broker.make(["t"])
        producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": "x"})
        producer.init_transactions(10)
        producer.begin_transaction()
        producer.produce("t", b"1")
        producer.commit_transaction(10)


READS = """
import asyncio, sys
from aiokafka import AIOKafkaConsumer
from pipeline.broker import memory

async def read():
    consumer = AIOKafkaConsumer("t", bootstrap_servers=sys.argv[1], auto_offset_reset="earliest")
    await consumer.start()
    try:
        print([(await consumer.getone()).value for _ in range(2)])
    finally:
        await consumer.stop()

memory.take_marks()
asyncio.run(read())
"""


def test_records_behind_the_mark_of_a_transaction_are_read_by_other_processes():
    with MemoryBroker() as broker:
        broker.make(["t"])
        producer = Producer({"bootstrap.servers": broker.bootstrap, "transactional.id": "x"})
        producer.init_transactions(10)
        for value in (b"1", b"2"):
            producer.begin_transaction()
            producer.produce("t", value, partition=0)
            producer.commit_transaction(10)
        command = [sys.executable, "-c", READS, broker.bootstrap]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.stdout.strip() == "[b'1', b'2']", done.stderr
    assert memory.USED not in os.environ
