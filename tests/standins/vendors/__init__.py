"""Stand-ins of payment vendors: their customers APIs as their own documents describe them.

They are written from the vendors' documents alone, and share no code with the gateway or with its twins. Where the
documents leave something open, a comment says what the stand-in does.
"""
