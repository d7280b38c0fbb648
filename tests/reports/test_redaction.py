import pytest

from transforms.reports.redaction import is_secret_name, safe_text, without_secrets


@pytest.mark.parametrize(
    "name",
    ["password", "api_key", "apiKey", "HF_TOKEN", "hfToken", "aws_secret_access_key", "sas", "client-secret", "AWSSecret"],
)
def test_secret_names(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["tokenizer", "max_tokens", "keep_text", "keyboard", "text_column", "key_columns", ""])
def test_other_names(name: str) -> None:
    assert not is_secret_name(name)


def test_secrets_are_masked_at_any_depth_and_the_rest_is_kept() -> None:
    value = {
        "inputs": ["s3://user:pw@bucket/a.parquet?X-Sig=abc&e=1", "data/part-?.parquet", "gs://b/p-?.parquet"],
        "store": {"credentials": {"id": "AKIA", "region": "eu"}, "token": "t0p"},
        "max_tokens": 256,
        "token": 5,
        "password": "",
    }
    assert without_secrets(value) == {
        "inputs": ["s3://***@bucket/a.parquet?***", "data/part-?.parquet", "gs://b/p-?.parquet"],
        "store": {"credentials": {"id": "***", "region": "***"}, "token": "***"},
        "max_tokens": 256,
        "token": 5,
        "password": "",
    }
    assert value["store"]["token"] == "t0p"


def test_urls_inside_a_message_are_cleaned() -> None:
    assert safe_text("cannot read https://me:pw@host/x?sig=abc (403)") == "cannot read https://***@host/x?*** (403)"
    assert safe_text("bad http://me:pw@[::1 thing") == "bad http://***@[::1 thing"
