"""Files from outside: a local copy if there is one, else a download; either way checked by SHA-256."""

import logging
import shutil
import urllib.request
from pathlib import Path

from geom2msm.provenance import replace_when_complete, sha256_file

TIMEOUT_S = 60


def obtain(*, path: str, url: str | None, sha256: str, output: str, config_key: str) -> None:
    """Copy `path`, or fetch `url` where it does not exist, to `output`; a wrong checksum is an error."""
    with replace_when_complete(output) as part:
        if Path(path).is_file():
            shutil.copyfile(path, part)
            origin = path
        elif url is None:
            raise ValueError(f"{path}: there is no such file, and {config_key} gives no url to fetch it from")
        else:
            _download(url, part, instead_of=path)
            origin = url
        found = sha256_file(part)
        if found != sha256:
            part.unlink()
            raise ValueError(
                f"{origin}: sha256 is {found[:12]}…, but {config_key} expects {sha256[:12]}…; "
                "the file is damaged or another one, get it again"
            )
    logging.info("%s: sha256 %s as expected", origin, sha256)


def fetch_text(url: str) -> str:
    """The text behind an address."""
    logging.info("fetching %s", url)
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:
            return response.read().decode()
    except OSError as error:
        raise ValueError(f"{url}: cannot be fetched ({error}); try again where the network is open") from error


def _download(url: str, part: Path, *, instead_of: str) -> None:
    logging.info("%s does not exist; fetching %s", instead_of, url)
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response, part.open("wb") as file:
            shutil.copyfileobj(response, file)
    except OSError as error:
        raise ValueError(
            f"{url}: cannot be fetched ({error}); fetch it elsewhere and save it as {instead_of}"
        ) from error
