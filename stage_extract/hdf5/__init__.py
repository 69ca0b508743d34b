"""HDF5 files that Keras wrote: weights alone, or a whole model."""
