"""Which of some packages are not there. The arguments are names and requirements in turn."""
import json
import sys
import sysconfig
from importlib import metadata

try:
    from packaging.requirements import Requirement
except ImportError:
    try:
        from pip._vendor.packaging.requirements import Requirement
    except ImportError:
        Requirement = None


def is_there(name, line):
    rest = Requirement(line) if Requirement else None
    if rest is not None and rest.marker is not None and not rest.marker.evaluate({"extra": ""}):
        return True
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return rest is None or rest.specifier.contains(version, prereleases=True)


def missing(words):
    for number, (name, line) in enumerate(zip(words[::2], words[1::2])):
        try:
            if not is_there(name, line):
                yield number
        except Exception:
            # What it cannot read, the installer is asked to.
            yield number


machine = f"{sys.implementation.cache_tag} {sysconfig.get_platform()}"
print(json.dumps({"machine": machine, "missing": list(missing(sys.argv[1:]))}))
