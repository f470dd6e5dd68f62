"""Client settings from the environment."""

import socket

import pytest

from pipeline.broker.client import aiokafka, confluent, knock
from pipeline.contract.errors import BrokerUnavailableError, ConfigError

SASL = {
    "EARSHOT_KAFKA_SECURITY_PROTOCOL": "sasl_ssl",
    "EARSHOT_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "EARSHOT_KAFKA_SASL_USERNAME": "earshot",
    "EARSHOT_KAFKA_SASL_PASSWORD": "s3cret",
}


def test_without_an_environment_it_is_plain():
    assert aiokafka(confluent("a:9092, b:9093", {})) == {
        "bootstrap_servers": "a:9092,b:9093",
        "security_protocol": "PLAINTEXT",
    }


def test_both_clients_are_told_the_same():
    settings = confluent("a:9092", SASL)
    arguments = aiokafka(settings)
    assert settings["sasl.password"] == arguments["sasl_plain_password"] == "s3cret"
    assert settings["sasl.mechanism"] == arguments["sasl_mechanism"] == "SCRAM-SHA-512"
    assert arguments["ssl_context"] is not None


def test_a_password_may_be_in_a_file(tmp_path):
    file = tmp_path / "password"
    file.write_text("from-a-file\n")
    environment = {**SASL, "EARSHOT_KAFKA_SASL_PASSWORD_FILE": str(file)}
    assert confluent("a:9092", environment)["sasl.password"] == "from-a-file"


def test_a_password_is_never_shown():
    settings = confluent("a:9092", SASL)
    assert "s3cret" not in repr(settings)
    assert "s3cret" not in f"{settings}"


@pytest.mark.parametrize("broker", ["", " , ", "kafka", "host:port", "host:0", "host:99999", "http://x"])
def test_an_address_that_is_none_is_refused(broker):
    with pytest.raises(ConfigError, match="HOST:PORT"):
        confluent(broker, {})


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"EARSHOT_KAFKA_SECURITY_PROTOCOL": "TLS"}, "SASL_SSL"),
        ({"EARSHOT_KAFKA_SASL_MECHANISM": "MAGIC"}, "SCRAM-SHA-256"),
        ({"EARSHOT_KAFKA_SASL_PASSWORD": ""}, "SASL_PASSWORD"),
        ({"EARSHOT_KAFKA_SASL_PASSWORD_FILE": "/no/such/file"}, "/no/such/file"),
        ({"EARSHOT_KAFKA_SSL_CA_FILE": "/no/such/ca"}, "/no/such/ca"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(change, named):
    with pytest.raises(ConfigError, match=named):
        confluent("a:9092", {**SASL, **change})


def test_nothing_that_listens_is_named_at_once():
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1: .*refused; 127\.0\.0\.1:2: .*--broker"):
        knock("127.0.0.1:1,127.0.0.1:2")


def test_one_address_that_listens_is_enough():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        knock(f"127.0.0.1:1,127.0.0.1:{listener.getsockname()[1]}")
