"""Run a command as if only some distributions and what they need were installed.

    python only_these.py NAME,NAME... WORDS...

The words are those of ``unetzoo``.
"""

import sys
from importlib.metadata import packages_distributions, requires

from packaging.requirements import Requirement


def with_needed(names):
    """The distributions and those that they need, without extras."""
    found, left = set(), list(names)
    while left:
        if (name := left.pop().lower().replace("_", "-")) not in found:
            found.add(name)
            for needed in map(Requirement, requires(name) or ()):
                if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                    left.append(needed.name)
    return found


class Others:
    """Finds nothing of the other distributions."""

    def __init__(self, names):
        self.names = names
        self.owners = packages_distributions()

    def find_spec(self, name, path=None, target=None):
        owners = self.owners.get(name.partition(".")[0], ["unetzoo"])
        if not self.names & {owner.lower().replace("_", "-") for owner in owners}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if __name__ == "__main__":
    sys.meta_path.insert(0, Others({"unetzoo", *with_needed(sys.argv[1].split(","))}))
    sys.argv[:2] = ["unetzoo"]
    from unetzoo.cli.start import unetzoo

    unetzoo()
