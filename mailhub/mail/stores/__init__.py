"""Incoming mail: one file a protocol, all behind `base.Store`."""
