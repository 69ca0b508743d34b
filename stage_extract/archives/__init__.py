"""Archives and single compressed files that hold a model, unpacked by hand and safely."""
