"""The demonstration: mailhub doing its main job on a sandbox mail server."""
