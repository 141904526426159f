"""A shopping cart that loses no item when the nodes cannot reach each other.

    python cart.py add   http://127.0.0.1:8101 milk
    python cart.py add   http://127.0.0.1:8103 bread
    python cart.py show  http://127.0.0.1:8102

Cut the link between two nodes, add at both sides, and heal it: each side took the item it was given, though it could
not see the other's. The store then holds both carts as siblings, and `union` makes one of them. r=1 and w=1 keep the
cart open at a node that is all alone; what it takes is spread as soon as it can be.
"""

import sys

from dynkv import Client

BUCKET, CART = "carts", "cart-of-ada"


def add(url: str, item: str) -> None:
    """Put one more item into the cart, through this node alone."""
    with Client(url, route=False) as client:
        client.update(
            BUCKET, CART, lambda items: sorted({*items, item}), default=[], resolve="union", r=1, w=1, timeout=10
        )
    print(f"{item} is in the cart")


def show(url: str) -> None:
    """What is in the cart, of all that anybody added."""
    with Client(url, route=False) as client:
        entry = client.get(BUCKET, CART, resolve="union", write_back=True, default=[])
    print(", ".join(sorted(entry.value)))


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["add", url, item]:
            add(url, item)
        case ["show", url]:
            show(url)
        case _:
            sys.exit(__doc__)
