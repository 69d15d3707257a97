"""Outgoing mail: one file a provider, all behind `base.Transport`."""
