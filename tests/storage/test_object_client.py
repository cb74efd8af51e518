"""How object stores are reached: credentials where the providers' own tools have them, and errors in one line each."""

import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from mnist_seq_cli.errors import EXIT_CODES, FAILED, OutputError
from mnist_seq_cli.storage import object_client

KEYS = {"access_key_id": "AK", "secret_access_key": "SK"}


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without credentials, without botocore and outside any cloud; return its home."""
    for name in [
        name for name in object_client.os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "STORAGE_"))
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("APPDATA", raising=False)
    monkeypatch.setitem(sys.modules, "botocore.session", None)

    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", refuse)
    return tmp_path


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_without_credentials_it_is_said_what_to_set(scheme: str) -> None:
    with pytest.raises(OutputError) as caught:
        object_client.settings_of(scheme, "bkt")
    assert str(caught.value) == f"no credentials for {scheme}://bkt; {object_client.HINTS[scheme]}"
    assert EXIT_CODES[type(caught.value)] == FAILED


@pytest.mark.parametrize("named", [{}, {"AWS_PROFILE": "work"}])
def test_the_files_of_amazons_tools_are_read(
    named: dict[str, str], machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = named.get("AWS_PROFILE", "default")
    (machine / ".aws").mkdir()
    section = "default" if name == "default" else f"profile {name}"
    (machine / ".aws/config").write_text(f"[{section}]\nregion = eu-west-1\nendpoint_url = http://here:1\n")
    (machine / ".aws/credentials").write_text(f"[{name}]\naws_access_key_id = AK\naws_secret_access_key = SK\n")
    for variable, value in named.items():
        monkeypatch.setenv(variable, value)
    endpoint = {"endpoint": "http://here:1", "allow_endpoint": "http://here:1"}
    assert object_client.settings_of("s3", "bkt") == {**KEYS, **endpoint, "region": "eu-west-1"}
    monkeypatch.setenv("AWS_REGION", "us-east-2")  # what is in the environment counts
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "other")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://there")
    assert object_client.settings_of("s3", "bkt") == {"allow_endpoint": "https://there"}


def test_a_profile_that_needs_botocore_says_so(machine: Path) -> None:
    (machine / ".aws").mkdir()
    (machine / ".aws/config").write_text("[default]\nrole_arn = arn:x\n")
    with pytest.raises(
        OutputError, match="no credentials for s3://bkt; for role_arn in a profile pip install botocore"
    ):
        object_client.settings_of("s3", "bkt")


@pytest.mark.parametrize(
    ("scheme", "environment", "expected"),
    [
        ("s3", {"AWS_SKIP_SIGNATURE": "true"}, {"allow_endpoint": ""}),
        ("gs", {"GOOGLE_APPLICATION_CREDENTIALS": "x.json"}, {"allow_endpoint": ""}),
        (
            "gs",
            {"STORAGE_EMULATOR_HOST": "here:4443"},
            {
                "allow_endpoint": "http://here:4443",
                "base_url": "http://here:4443",
                "bearer_token": "emulator",
            },
        ),
        (
            "az",
            {"AZURE_STORAGE_ACCOUNT": "me", "AZURE_STORAGE_KEY": "key="},
            {"allow_endpoint": "", "account_name": "me", "account_key": "key="},
        ),
        (
            "az",
            {"AZURE_STORAGE_CONNECTION_STRING": "AccountName=me;AccountKey=a==;BlobEndpoint=http://here:1/me;"},
            {
                "allow_endpoint": "http://here:1/me",
                "account_name": "me",
                "account_key": "a==",
                "endpoint": "http://here:1/me",
            },
        ),
        (
            "az",
            {"AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true"},
            {"allow_endpoint": "http://", "use_emulator": True},
        ),
    ],
)
def test_the_usual_environment_is_taken(
    scheme: str, environment: dict[str, str], expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert object_client.settings_of(scheme, "bkt") == expected


def test_in_a_cloud_the_role_of_the_machine_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: socket.socket())
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "me")
    for scheme in ("s3", "gs", "az"):
        assert "credential_provider" not in object_client.settings_of(scheme, "bkt")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(OutputError, match="no credentials for s3://bkt"):
        object_client.settings_of("s3", "bkt")


class PreconditionError(Exception):
    """As the library has it."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Exception("404 Not Found: <Code>NoSuchBucket</Code>"), "there is no bucket bkt; make it, or correct the name"),
        (FileNotFoundError("Object at x not found"), "there is no such object"),
        (
            Exception("status code: 403 Forbidden: <Code>InvalidAccessKeyId</Code>"),
            "the credentials are refused; set AWS_",
        ),
        (Exception("status code: 403 Forbidden: "), "no permission; ask for the right to list, read and write in bkt"),
        (Exception("PUT http://169.254.169.254/latest/api/token: 403 Forbidden"), "no credentials; set AWS_"),
        (Exception("301 Moved: <Code>PermanentRedirect</Code>"), "the bucket bkt is in another region; set AWS_REGION"),
        (
            Exception("HTTP error: error sending request\n\nDebug source:\nkind: Connect"),
            "no connection, also when tried",
        ),
        (
            Exception("HTTP error: error sending request\n\nDebug source:\nkind: Timeout"),
            "no answer in time, also when",
        ),
        (
            Exception("returned non-2xx status code: 503 Service Unavailable: x"),
            "the server fails (503 Service Unavailable)",
        ),
        (PreconditionError("x"), "it was replaced while it was read"),
        (ValueError("something else\n\nDebug source:\n{…}"), "something else"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_errors_are_one_line_about_the_object(error: Exception, reason: str) -> None:
    found = object_client.os_error(error, "s3://bkt/out/a")
    assert found.filename == "s3://bkt/out/a"
    assert found.strerror.startswith(reason)
    assert "\n" not in found.strerror
    assert isinstance(found, FileNotFoundError) == isinstance(error, FileNotFoundError)
