"""The bytes of checkpoints: tables, tensor bundles (V2), V1 files, and their checksums."""
