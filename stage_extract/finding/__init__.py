"""What a user means by a path: which files, of which format and step."""
