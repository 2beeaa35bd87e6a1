"""A small OpenID Connect issuer, which hands out tokens to whoever asks."""
