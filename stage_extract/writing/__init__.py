"""The files of the export."""
