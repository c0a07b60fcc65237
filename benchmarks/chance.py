"""How often `explain --count` explains a number that means nothing: `python benchmarks/chance.py`.

For each network it takes random numbers from half to twice the network's count.
"""

import argparse
import random

import audit
import unetzoo


def share(name: str, numbers: int, seed: int = 0) -> float:
    """The part of random numbers for which a way is found."""
    rng = random.Random(seed)
    total = audit.table(name).total
    drawn = (rng.randrange(total // 2, 2 * total) for _ in range(numbers))
    return sum(bool(audit.explain(name, count=number).matches) for number in drawn) / numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--numbers", type=int, default=1000, help="for each network")
    parser.add_argument("names", nargs="*", default=unetzoo.list_models())
    arguments = parser.parse_args()
    shares = {name: share(name, arguments.numbers) for name in arguments.names}
    for name, part in shares.items():
        print(f"{name:<20} {part:7.2%}")
    print(f"{'all':<20} {sum(shares.values()) / len(shares):7.2%}")


if __name__ == "__main__":
    main()
