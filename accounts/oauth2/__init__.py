"""Accounts that log in by OAuth2, with the permission that a person gave at a provider.

providers    the providers of the settings: Google, Microsoft and any other
consent      on the way there and back: state, PKCE, and whom the answer belongs to
connecting   from the provider's answer to an account that works
refreshing   access tokens of stored credentials, renewed when they run out
"""
