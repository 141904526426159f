"""`python -m dynkv` is `dynkv`."""

from dynkv.cli import main

if __name__ == "__main__":
    main()
