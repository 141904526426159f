"""dynkv: a leaderless, eventually consistent key-value store that does not lose writes.

Importing the package loads nothing else: a program that only wants the version pays for nothing.
"""

__version__ = "0.1.0"
