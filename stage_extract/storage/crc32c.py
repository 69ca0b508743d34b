"""CRC32C (Castagnoli) in numpy, for where TensorFlow's own function is not to be had.

A CRC is a remainder over GF(2): read the bits of the data, the lowest of each byte first, as the
coefficients of a polynomial from the highest power down; the CRC is that polynomial times x**32
modulo P (RFC 3720, appendix B.4; 32 ones start the register and are taken off at the end).

**Long data** is first divided by a multiple Q of P, which leaves the remainder modulo P as it is.
Q = x**6777 + x**484 + x**100 + 1 is one with four terms, and over GF(2) squaring only doubles the
exponents: Q(x)**(2**k) = Q(x**(2**k)). Its terms then lie whole units of 2**k bits apart, so that
one step of the division adds a unit of the data to those that come 6777 - 484, 6777 - 100 and 6777
units later, and 6777 - 484 = 6293 units in a row do not touch each other: three XORs of long runs.
At the end 6777 units are left over. Division in units of 8 bytes, then of one byte, leaves 6777
bytes.

**Up to some kilobytes** the definition itself serves: the CRC is the XOR of x**i modulo P over the
bits that are set, from a table of these powers.

**A few bytes** go one by one through the usual table of 256 remainders.
"""

from __future__ import annotations

from typing import Any, List, Tuple, Union

import numpy

Bytes = Union[bytes, bytearray, memoryview]

# The exponents of a multiple of P (but for the last, 0), found by looking up x**a + x**b + 1 among
# all powers of x modulo P. Of those up to a = 10000 it has the longest runs for its degree.
MULTIPLE = (6777, 484, 100)
# P without its highest term, and mirrored: a register holds the highest power in its lowest bit.
POLYNOMIAL = 0x1EDC6F41
_MIRRORED = 0x82F63B78
_UINT32 = 0xFFFFFFFF
_MASK_DELTA = 0xA282EAD8

_DEGREE = MULTIPLE[0]
_LAGS = tuple(_DEGREE - exponent for exponent in (*MULTIPLE[1:], 0))
# The units of division, and the size from which it pays.
_DIVISIONS = ((8, 2 * 8 * _DEGREE), (1, _DEGREE + 8))
# In units: six runs, with what they are added to, are in the processor's cache at once.
_WINDOW_UNITS = 6 * _LAGS[0]
_MAX_BITWISE_SIZE_BYTES = _DEGREE + 8
_MAX_BYTEWISE_SIZE_BYTES = 64
_BITS = 8


def _byte_table() -> Tuple[int, ...]:
    """Give, by the lowest byte of a register, what eight steps of the division add to it."""
    table = []
    for register in range(256):
        for _ in range(_BITS):
            register = (register >> 1) ^ (_MIRRORED if register & 1 else 0)
        table.append(register)
    return tuple(table)


_TABLE = _byte_table()


class _Powers:
    """x**i modulo P as registers, made when they are first needed (some milliseconds)."""

    def __init__(self) -> None:
        self._descending: Any = None

    def descending(self, bits: int) -> Any:
        """Give the powers from x**(bits + 31) down to x**32, uint32 [bits]."""
        if self._descending is None:
            self._descending = self._make(_MAX_BITWISE_SIZE_BYTES * _BITS)
        return self._descending[len(self._descending) - bits :]

    def _make(self, count: int) -> Any:
        powers: List[int] = []
        # The register of x**31 has only its lowest bit set.
        register = 1
        for _ in range(count):
            register = (register >> 1) ^ (_MIRRORED if register & 1 else 0)
            powers.append(register)
        return numpy.array(powers[::-1], dtype=numpy.uint32)


_POWERS = _Powers()


def extend(crc: int, data: Bytes) -> int:
    """Continue a CRC32C over `data`; start with 0.

    Args:
        crc: of what comes before.
        data: contiguous bytes; they are not changed.
    """
    size_bytes = memoryview(data).nbytes
    register = crc ^ _UINT32
    if size_bytes <= _MAX_BYTEWISE_SIZE_BYTES:
        for byte in memoryview(data).cast("B"):
            register = _TABLE[(register ^ byte) & 0xFF] ^ (register >> 8)
        return register ^ _UINT32
    rest = numpy.frombuffer(data, dtype=numpy.uint8)
    for unit_size_bytes, least_size_bytes in _DIVISIONS:
        if len(rest) >= least_size_bytes:
            rest = _divide(rest, register, unit_size_bytes)
            register = 0
    return _remainder(rest, register) ^ _UINT32


def mask(crc: int) -> int:
    """Give the form in which TensorFlow stores a checksum (tensorflow/core/lib/hash/crc32c.h)."""
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & _UINT32


def unmask(masked: int) -> int:
    """Give the checksum that TensorFlow has stored in this form."""
    rotated = (masked - _MASK_DELTA) & _UINT32
    return ((rotated >> 17) | (rotated << 15)) & _UINT32


def _add_register(data: Any, register: int) -> None:
    """Add the register to the first 32 bits, which is where it acts on the division."""
    data[:4] ^= numpy.frombuffer(register.to_bytes(4, "little"), dtype=numpy.uint8)


def _divide(data: Any, register: int, unit_size_bytes: int) -> Any:
    """Give the remainder of the data modulo Q(x**(8 * unit_size_bytes)).

    Args:
        data: uint8 [n], n at least the size of Q; not changed.
        register: state of the CRC before the data.

    Returns:
        uint8 [6777 * unit_size_bytes], congruent to the data modulo P.
    """
    kept = _DEGREE * unit_size_bytes
    divided = len(data) - kept
    part_size = min(_WINDOW_UNITS, -(-divided // unit_size_bytes)) * unit_size_bytes
    # What was divided stays for as long as it is added to what follows; before the data are zeros.
    window = numpy.zeros(kept + part_size, dtype=numpy.uint8)
    units = window.view(f"u{unit_size_bytes}")
    for start in range(0, divided, part_size):
        part = data[start : min(start + part_size, divided)]
        end = kept + len(part)
        window[kept:end] = part
        if start == 0:
            _add_register(window[kept:], register)
        # Where the data end within a unit, what lies behind is worked on too, and never used.
        end_unit = -(-end // unit_size_bytes)
        for first in range(_DEGREE, end_unit, _LAGS[0]):
            run = units[first : min(first + _LAGS[0], end_unit)]
            for lag in _LAGS:
                run ^= units[first - lag : first - lag + len(run)]
        window[:kept] = window[end - kept : end].copy()
    remainder = data[divided:].copy()
    for lag in _LAGS:
        size = lag * unit_size_bytes
        remainder[:size] ^= window[kept - size : kept]
    return remainder


def _remainder(data: Any, register: int) -> int:
    """Give the register after the data (uint8 [n]), bit by bit set."""
    data = data.copy()
    _add_register(data, register)
    bits = numpy.unpackbits(data, bitorder="little")
    powers = _POWERS.descending(len(bits))
    return int(numpy.bitwise_xor.reduce(powers * bits))
