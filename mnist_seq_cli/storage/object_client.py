"""Owns how object stores are reached: the provider of each scheme, where its credentials are, what its errors mean.

Credentials are looked for before anything is asked: the library would ask the metadata address of a cloud, which need
not be there, and end with a page of debugging output.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import socket
from configparser import Error as ConfigError
from configparser import RawConfigParser
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mnist_seq_cli.errors import OutputError, RequestError, one_line

PATIENCE = 30
"""Seconds in which what failed is tried again."""

_RETRIES = {"max_retries": 10, "retry_timeout": timedelta(seconds=PATIENCE)}
_METADATA_ADDRESS = "169.254.169.254"
"""Where machines of Amazon, Google and Microsoft ask for the credentials of their role."""

Settings = dict[str, Any]

HINTS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_CONNECTION_STRING",
}
"""What to set for each scheme, where there are no credentials."""


def require_library(scheme: str) -> None:
    """Raise RequestError where the library for object stores is not installed."""
    try:
        import obstore  # noqa: F401 (is it there?)
    except ImportError:
        raise RequestError(f"{scheme}:// needs the package obstore", hint="pip install 'mnistseq[cloud]'") from None


def connect(scheme: str, bucket: str, prefix: str, timeout: int) -> Any:
    """Return a client for what is below a prefix of a bucket; a request may take `timeout` seconds.

    Raises OutputError where credentials are missing or settings are wrong. Nothing is asked yet.
    """
    from obstore import store
    from obstore.exceptions import BaseError

    kind = {"s3": store.S3Store, "gs": store.GCSStore, "az": store.AzureStore}[scheme]
    settings = settings_of(scheme, bucket)
    endpoint = settings.pop("allow_endpoint", "")
    if endpoint and not re.match("https?://", endpoint):
        raise OutputError(f"the endpoint for {scheme}://{bucket} is {endpoint!r}", hint="it begins with https://")
    options = {"timeout": f"{timeout}s", "allow_http": endpoint.startswith("http://")}
    try:
        return kind(bucket, prefix=prefix or None, client_options=options, retry_config=_RETRIES, **settings)
    except (BaseError, OSError, ValueError) as error:
        raise OutputError(f"cannot open {scheme}://{bucket}: {_first_line(error)}", hint=HINTS[scheme]) from None


def is_signed(scheme: str) -> bool:
    """Return whether requests are signed together with the SHA-256 of what they bring, which the server checks."""
    return scheme == "s3" and not _set("AWS_SKIP_SIGNATURE", "AWS_UNSIGNED_PAYLOAD")


def settings_of(scheme: str, bucket: str) -> Settings:
    """Return what the library needs to be told, and the endpoint in `allow_endpoint`. Raises OutputError."""
    return {"s3": _s3, "gs": _gs, "az": _az}[scheme](f"{scheme}://{bucket}")


def _set(*names: str) -> str:
    """Return the first of some environment variables that is set; nothing where none is."""
    return next((value for name in names if (value := os.environ.get(name))), "")


def _no_credentials(where: str, hint: str = "") -> OutputError:
    return OutputError(f"no credentials for {where}", hint=hint or HINTS[where.partition(":")[0]])


def _answers(address: str) -> bool:
    """Return whether a cloud's metadata address is there."""
    with suppress(OSError), socket.create_connection((address, 80), timeout=1):
        return True
    return False


def _s3(where: str) -> Settings:
    """Return settings for S3 and the like: from environment, profile, what botocore finds, role of the machine."""
    profile = _aws_profile()
    settings: Settings = {"allow_endpoint": _set("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")}
    if not settings["allow_endpoint"] and (endpoint := profile.get("endpoint_url")):
        settings |= {"allow_endpoint": endpoint, "endpoint": endpoint}
    if not _set("AWS_REGION", "AWS_DEFAULT_REGION") and "region" in profile:
        settings["region"] = profile["region"]
    by_the_library = ("AWS_ACCESS_KEY_ID", "AWS_SKIP_SIGNATURE", "AWS_WEB_IDENTITY_TOKEN_FILE")
    if _set(*by_the_library, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        return settings
    keys = {
        name: profile[f"aws_{name}"]
        for name in ("access_key_id", "secret_access_key", "session_token")
        if f"aws_{name}" in profile
    }
    derived = profile.keys() & {"role_arn", "sso_session", "sso_start_url", "credential_process"}
    if "access_key_id" in keys and not derived:
        return settings | keys
    try:
        return settings | {"credential_provider": _from_botocore(where)}
    except ImportError:
        if derived:
            raise _no_credentials(where, f"for {min(derived)} in a profile pip install botocore") from None
    if _set("AWS_EC2_METADATA_DISABLED").lower() == "true" or not _answers(_METADATA_ADDRESS):
        raise _no_credentials(where)
    return settings


def _aws_profile() -> dict[str, str]:
    """Return the values of the profile in the files that Amazon's tools share; nothing where there is none."""
    name, found = _set("AWS_PROFILE", "AWS_DEFAULT_PROFILE") or "default", dict[str, str]()
    config = _set("AWS_CONFIG_FILE") or "~/.aws/config"
    shared = _set("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials"
    for path, section in ((config, name if name == "default" else f"profile {name}"), (shared, name)):
        parser = RawConfigParser()
        with suppress(ConfigError, OSError, UnicodeDecodeError, RuntimeError):  # RuntimeError: there is no home
            parser.read(Path(path).expanduser(), encoding="utf-8")
            found |= dict(parser[section]) if section in parser else {}
    return found


def _from_botocore(where: str) -> Any:
    """Return what gives the credentials that botocore finds. Raises OutputError where it finds none, ImportError."""
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        found = Session().get_credentials()
    except BotoCoreError as error:
        raise _no_credentials(where, one_line(str(error), 200)) from None
    if found is None:
        raise _no_credentials(where)

    def current() -> dict[str, Any]:
        frozen = found.get_frozen_credentials()
        keys = {"access_key_id": frozen.access_key, "secret_access_key": frozen.secret_key, "token": frozen.token}
        return keys | {"expires_at": datetime.now(UTC) + timedelta(minutes=10)}  # botocore renews what it has

    return current


def _gs(where: str) -> Settings:
    """Return settings for Google Cloud Storage: environment, the file that gcloud writes, the role of the machine."""
    if host := _set("STORAGE_EMULATOR_HOST"):
        endpoint = host if "://" in host else f"http://{host}"
        return {"allow_endpoint": endpoint, "base_url": endpoint, "bearer_token": "emulator"}
    file = Path(_set("APPDATA") or "~/.config", "gcloud", "application_default_credentials.json")
    names = ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH")
    more = ("GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_BEARER_TOKEN", "GOOGLE_SKIP_SIGNATURE")
    with suppress(RuntimeError):  # there is no home
        if _set(*names, *more) or file.expanduser().is_file() or _answers("metadata.google.internal"):
            return {"allow_endpoint": _set("GOOGLE_BASE_URL")}
    raise _no_credentials(where)


def _az(where: str) -> Settings:
    """Return settings for Azure: environment, a connection string, the command az, the role of the machine."""
    pairs = (part.partition("=")[::2] for part in _set("AZURE_STORAGE_CONNECTION_STRING").split(";"))
    string = {name.strip().lower(): value for name, value in pairs}
    account = string.get("accountname") or _set("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
    key = string.get("accountkey") or _set("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCESS_KEY")
    signature = string.get("sharedaccesssignature") or _set("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY")
    endpoint = string.get("blobendpoint") or _set("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")
    if _set("AZURE_STORAGE_USE_EMULATOR") or string.get("usedevelopmentstorage") == "true":
        return {"allow_endpoint": "http://", "use_emulator": True}
    if not account:
        raise _no_credentials(where)
    known = {"account_name": account, "account_key": key, "sas_key": signature, "endpoint": endpoint}
    settings = {"allow_endpoint": endpoint} | {name: value for name, value in known.items() if value}
    by_the_library = ("AZURE_STORAGE_TOKEN", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_SKIP_SIGNATURE")
    if key or signature or _set(*by_the_library, "AZURE_USE_AZURE_CLI", "AZURE_IDENTITY_ENDPOINT", "IDENTITY_ENDPOINT"):
        return settings
    if shutil.which("az"):
        return settings | {"use_azure_cli": True}
    if not _answers(_METADATA_ADDRESS):
        raise _no_credentials(where)
    return settings


def was_cut_off(error: Exception) -> bool:
    """Return whether a connection broke off in a way that the library does not try again: in a list, in a deletion."""
    text = str(error)
    return "HTTP error" in text and "kind: Timeout" not in text and not re.search("after [0-9]+ retries", text)


def os_error(error: Exception, where: str) -> OSError:
    """Return the error of the library as one of the system, about the object `where`, with a line that says what to do.

    FileNotFoundError and FileExistsError are about the object alone, and not about its bucket.
    """
    scheme, _, rest = where.partition("://")
    number, reason = _reason(error, scheme, rest.partition("/")[0])
    return OSError(number, reason, where)


def _reason(error: Exception, scheme: str, bucket: str) -> tuple[int, str]:
    text = str(error)
    if re.search("NoSuchBucket|ContainerNotFound|bucket does not exist", text):
        return errno.ENXIO, f"there is no bucket {bucket}; make it, or correct the name"
    if _METADATA_ADDRESS in text or "metadata.google.internal" in text or "External AWS credential provider" in text:
        return errno.EPERM, f"no credentials; {HINTS[scheme]}"
    if re.search("InvalidAccessKeyId|SignatureDoesNotMatch|InvalidToken|ExpiredToken|401 Unauthorized", text):
        return errno.EPERM, f"the credentials are refused; {HINTS[scheme]}"
    if "403 Forbidden" in text:
        return errno.EPERM, f"no permission; ask for the right to list, read and write in {bucket}, or {HINTS[scheme]}"
    if re.search("PermanentRedirect|without LOCATION|AuthorizationHeaderMalformed", text):
        return errno.ENXIO, f"the bucket {bucket} is in another region; set AWS_REGION"
    if isinstance(error, FileNotFoundError):
        return errno.ENOENT, "there is no such object"
    kind = type(error).__name__
    if kind == "AlreadyExistsError":
        return errno.EEXIST, "it is there already"
    if kind == "PreconditionError":
        return errno.EIO, "it was replaced while it was read; try again"
    if "HTTP error" in text:
        slow = "kind: Timeout" in text
        what = "no answer in time" if slow else "no connection"
        return errno.EHOSTUNREACH, f"{what}, also when tried again; check the network and the endpoint"
    if status := re.search("status code: (5[0-9]{2}[A-Za-z ]*)", text):
        return errno.EHOSTUNREACH, f"the server fails ({status[1].strip()}), also when tried again; try later"
    return errno.EIO, _first_line(error)


def _first_line(error: Exception) -> str:
    """Return what an error says, without the debugging output that follows."""
    return one_line(str(error).partition("\n")[0], 300)
