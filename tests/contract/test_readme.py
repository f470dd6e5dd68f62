"""What the contract's README tells a department to write, written and run against a real broker."""

import re
import shlex
import shutil
import subprocess
import sys
import threading

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from pipeline.contract import codec, publish
from pipeline.contract.events import JudgedMention
from tests.contract.messages import FOLDER

README = (publish.FOLDER / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
KCAT = next(line for line in README.splitlines() if line.startswith("kcat "))
COMMITTED, ABORTED = "routed-to-support", "urgent"


@pytest.fixture
def filled(kafka, topic):
    """A topic with a record of an aborted transaction and one of a committed one."""
    client = {"bootstrap.servers": kafka}
    admin = AdminClient(client)  # kept until the topic is there: what is asked ends with it
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    producer = Producer({**client, "transactional.id": topic})
    producer.init_transactions(20)
    for example, is_kept in ((ABORTED, False), (COMMITTED, True)):
        event = codec.decode(JudgedMention, (FOLDER / "mention-judged" / f"{example}.json").read_bytes())
        producer.begin_transaction()
        producer.produce(
            topic,
            codec.encode(event),
            event.key,
            headers=codec.headers(JudgedMention, event_id=event.id, source="earshot/triage", at=event.judged_at),
        )
        producer.flush(20)
        if is_kept:
            producer.commit_transaction(20)
        else:
            producer.abort_transaction(20)
    return kafka, topic


def adapted(code, kafka, topic):
    for given, own in (("127.0.0.1:9092", kafka), ("department-support", topic), ("support-desk", f"group-{topic}")):
        assert given in code
        code = code.replace(given, own)
    return code


def first_lines(command, until):
    """Return what a program that never ends prints, up to the line that has this in it."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8"
    ) as process:
        limit = threading.Timer(60, process.kill)
        limit.start()
        try:
            read = []
            for line in process.stdout:
                read.append(line)
                if until in line:
                    break
            return "".join(read)
        finally:
            limit.cancel()
            process.kill()


def test_there_is_a_snippet_for_each_library():
    assert ["confluent_kafka" in code for code in SNIPPETS] == [True, False]
    assert "aiokafka" in SNIPPETS[1]
    for code in (*SNIPPETS, KCAT):
        assert "read_committed" in code


@pytest.mark.kafka
@pytest.mark.parametrize("code", SNIPPETS, ids=["confluent-kafka", "aiokafka"])
def test_a_department_reads_what_was_committed_and_nothing_else(filled, code):
    shown = first_lines([sys.executable, "-u", "-c", adapted(code, *filled)], "crashes")
    assert "normal https://social.example/@ida/1001 The Acme app crashes" in shown
    assert "caught fire" not in shown


@pytest.mark.kafka
def test_a_terminal_reads_headers_and_value(filled):
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not installed")
    command = shlex.split(adapted(KCAT, *filled))
    shown = first_lines([*command[:1], "-u", "-X", "auto.offset.reset=earliest", *command[1:]], "crashes")
    assert "ce_type=earshot.mention-judged.v1" in shown
    assert "The Acme app crashes" in shown
    assert "caught fire" not in shown
