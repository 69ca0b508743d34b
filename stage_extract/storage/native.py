"""Functions of TensorFlow's own library that its Python side does not offer: CRC32C and Snappy.

Pure Python takes minutes for the checksum of a large checkpoint; TensorFlow's function uses the
processor's CRC32C instruction. The symbol names are those of the locked TensorFlow 1.15.5.
"""

from __future__ import annotations

import ctypes
import os

import numpy
import tensorflow

from stage_extract.storage.crc32c import Bytes

_LIBRARY_NAME = "libtensorflow_framework.so.1"
_LIBRARY = ctypes.CDLL(os.path.join(tensorflow.sysconfig.get_lib(), _LIBRARY_NAME))

# tensorflow::crc32c::Extend(uint32 crc, const char* data, size_t size)
_crc32c_extend = _LIBRARY["_ZN10tensorflow6crc32c6ExtendEjPKcm"]
_crc32c_extend.restype = ctypes.c_uint32
_crc32c_extend.argtypes = [ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t]

# bool tensorflow::port::Snappy_GetUncompressedLength(const char* data, size_t size, size_t* result)
_snappy_length = _LIBRARY["_ZN10tensorflow4port28Snappy_GetUncompressedLengthEPKcmPm"]
_snappy_length.restype = ctypes.c_bool
_snappy_length.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(ctypes.c_size_t)]

# bool tensorflow::port::Snappy_Uncompress(const char* data, size_t size, char* output)
_snappy_uncompress = _LIBRARY["_ZN10tensorflow4port17Snappy_UncompressEPKcmPc"]
_snappy_uncompress.restype = ctypes.c_bool
_snappy_uncompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p]

_MASK_DELTA = 0xA282EAD8
_UINT32 = 0xFFFFFFFF


def extend_crc32c(crc: int, data: Bytes) -> int:
    """Continue a CRC32C (Castagnoli) over `data`, without a copy; start with 0."""
    if not len(data):
        return crc
    address = numpy.frombuffer(data, dtype=numpy.uint8).ctypes.data
    return int(_crc32c_extend(crc, address, memoryview(data).nbytes))


def mask_crc32c(crc: int) -> int:
    """Give the form in which TensorFlow stores a checksum (tensorflow/core/lib/hash/crc32c.h)."""
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & _UINT32


def uncompress_snappy(data: bytes, limit_bytes: int) -> bytes:
    """Undo Snappy compression.

    Raises:
        ValueError: the data is no Snappy stream, or holds more than `limit_bytes`.
    """
    size = ctypes.c_size_t()
    if not _snappy_length(data, len(data), ctypes.byref(size)):
        raise ValueError("a Snappy block has no length")
    if size.value > limit_bytes:
        raise ValueError(f"a Snappy block claims {size.value} bytes")
    output = ctypes.create_string_buffer(max(size.value, 1))
    if not _snappy_uncompress(data, len(data), output):
        raise ValueError("a Snappy block cannot be decoded")
    return output.raw[: size.value]
