"""The way back of decoder.py: from what it read of a .knet file, and nothing else, to bytes.

Section 1.7 of docs/format.md: given the choices that a file records, there is one spelling, and all others are refused.
So what the decoder accepts, this must write as the same bytes. Written from the document alone, in its order.
"""

import math
import struct
import zlib

from decoder import (
    BITMAP,
    CONVOLUTION,
    DENSE,
    DROPOUT,
    EXP_GOLOMB,
    MAGIC,
    RELATIVE,
    USUAL_PIXELS,
    VERSION,
    canonical_codes,
    shortest,
    tensors_of,
    usual_name,
)

# == 1 Conventions ===================================================================================================


class Writer:
    def __init__(self):
        self.out = bytearray()

    def varint(self, value):
        while value >= 128:
            self.out.append(value % 128 + 128)
            value //= 128
        self.out.append(value)

    def integer(self, value, size):
        self.out += value.to_bytes(size, "little")

    def text(self, text):
        raw = text.encode("utf-8")
        self.varint(len(raw))
        self.out += raw

    def float64(self, value):
        self.out += struct.pack("<d", value)

    def checksum(self, start=0):
        self.integer(zlib.crc32(self.out[start:]), 4)


class BitWriter:
    """1.1 a row of bits, and 7.5 the universal codes."""

    def __init__(self):
        self.digits = []

    def bits(self, value, n):
        if n > 0:
            self.digits.append(format(value, f"0{n}b"))

    def gamma(self, value):
        self.bits(0, value.bit_length() - 1)
        self.bits(value, value.bit_length())

    def exp_golomb(self, value, order):
        self.gamma(value // 2**order + 1)
        self.bits(value % 2**order, order)

    def finish(self, to):
        row = "".join(self.digits)
        row += "0" * (-len(row) % 8)
        to.out += bytes(int(row[k : k + 8], 2) for k in range(0, len(row), 8))


class StepWriter:
    """7.5 rows of steps."""

    def __init__(self, row, field):
        self.row = row
        self.field = field
        self.value = None

    def next(self, absent, value):
        if self.value is None:
            self.row.gamma(absent + 1)
            self.row.bits(value, self.field)
        else:
            step = value - self.value
            code = 2 * step if step > 0 else 1 - 2 * step
            if absent > 0:
                self.row.gamma(4)
                self.row.gamma(absent)
                self.row.gamma(code)
            else:
                self.row.gamma(code + 1 if code >= 4 else code)
        self.value = value


# == 2 The file ======================================================================================================


def write_file(file):
    to = Writer()
    to.out += MAGIC
    to.integer(VERSION, 1)
    to.varint(4 * file["architecture"] + 2 * (file["metadata"] is not None) + file["framed"])
    if file["architecture"] == 0:
        write_graph(to, file["graph"])
    if file["metadata"] is not None:
        write_metadata(to, file["metadata"])
    if file["framed"]:
        to.checksum()
    still = list(range(len(tensors_of(file["graph"]))))
    for section in file["sections"]:
        write_section(to, section, still, file["framed"])
    if not file["framed"]:
        to.checksum()
    return bytes(to.out)


# == 3 The graph =====================================================================================================


def write_graph(to, graph):
    to.text(graph["name"])
    for size in graph["input"]:
        to.varint(size)
    to.integer(int(graph["pixels"] != USUAL_PIXELS), 1)
    if graph["pixels"] != USUAL_PIXELS:
        to.float64(graph["pixels"][0])
        to.float64(graph["pixels"][1])
    to.varint(len(graph["layers"]))
    counted = {CONVOLUTION: 0, DENSE: 0}
    for layer in graph["layers"]:
        kind = layer["kind"]
        to.integer(kind, 1)
        if kind in counted:
            counted[kind] += 1
            if layer["name"] == usual_name(kind, counted):
                to.integer(0, 1)
            else:
                to.text(layer["name"])
            to.integer(layer["flags"], 1)
        for size in layer.get("sizes", []):
            to.varint(size)
        if kind == DROPOUT:
            to.float64(layer["keep"])
    classes = graph["classes"]
    usual = classes == [str(k) for k in range(len(classes))]
    to.integer(int(not usual), 1)
    if not usual:
        for name in classes:
            to.text(name)


# == 8 Metadata ======================================================================================================


def write_metadata(to, lines):
    inner = Writer()
    inner.varint(len(lines))
    for key, value in lines:
        inner.text(key)
        inner.text(value)
    to.varint(len(inner.out))
    to.out += inner.out


# == 4 Sections ======================================================================================================


def write_section(to, section, still, framed):
    """`still`: the open tensors; those of the section are taken out."""
    start = len(to.out)
    members, others = section["members"], still[1:]
    cover = 0 if len(members) == 1 else 1 if members == still else 2
    to.integer(4 * section["method"] + cover, 1)
    if cover == 2:
        bitmap = sum(1 << k for k, other in enumerate(others) if other in members)
        to.integer(bitmap, (len(others) + 7) // 8)
    still[:] = [k for k in still if k not in members]
    content = Writer()
    METHODS[section["method"]](content, section["chosen"], sum(map(math.prod, section["shapes"])))
    if framed:
        to.varint(len(content.out))
    to.out += content.out
    if framed:
        to.checksum(start)


# == 5 Methods =======================================================================================================


def write_raw(to, chosen, _count):
    to.out += chosen


def write_codebook(to, chosen, _count):
    entries, coder, indices = chosen
    write_entries(to, entries)
    write_symbols(to, coder, indices, len(entries))


def write_sparse(to, chosen, count):
    form, places, entries, coder, indices = chosen
    write_positions(to, form, places, count)
    if places:
        write_entries(to, entries)
        write_symbols(to, coder, indices, len(entries))


def write_sparse_raw(to, chosen, count):
    form, places, numbers = chosen
    write_positions(to, form, places, count)
    to.out += numbers


def write_levels(to, chosen, _count):
    scales, said = chosen
    to.out += scales
    write_range(to, said)


def write_miracle(to, chosen, _count):
    form, seed, live, groups, scales, sizes, indices = chosen
    to.integer(form, 1)
    to.varint(seed)
    for count in live.values():
        to.varint(count)
    if form & 64:
        for group in groups:
            to.varint(group)
    to.varint(len(sizes))
    to.out += scales
    if form & 128:
        row = BitWriter()
        steps = StepWriter(row, 13)
        for size in sizes:
            steps.next(0, size)
        row.finish(to)
    row = BitWriter()
    for index in indices:
        row.bits(index, form % 32 + 4)
    row.finish(to)


def write_legacy(to, chosen, _count):
    form, groups, block, scales, said = chosen
    to.integer(form, 1)
    if form & 64:
        for group in groups:
            to.varint(group)
    to.varint(block)
    to.out += scales
    write_range(to, said)


# == 6 Entries of a codebook =========================================================================================


def write_entries(to, entries):
    to.varint(len(entries))
    to.out += b"".join(entries)


# == 7 Symbols =======================================================================================================


def write_symbols(to, coder, symbols, alphabet):
    if coder is not None:
        tag, table = coder
        to.integer(tag, 1)
        CODERS[tag](to, table, symbols, alphabet)


def write_fixed(to, _table, symbols, alphabet):
    row = BitWriter()
    for symbol in symbols:
        row.bits(symbol, (alphabet - 1).bit_length())
    row.finish(to)


def write_huffman(to, lengths, symbols, _alphabet):
    row = BitWriter()
    steps = StepWriter(row, 4)
    before = -1
    for symbol in sorted(lengths):
        steps.next(symbol - before - 1, lengths[symbol])
        before = symbol
    codes = canonical_codes(lengths)
    for symbol in symbols:
        length, code = codes[symbol]
        row.bits(code, length)
    row.finish(to)


def write_rans(to, table, symbols, _alphabet):
    form, n, frequency = table
    row = BitWriter()
    row.bits(form, 1)
    row.bits(n - 12, 3)
    steps = StepWriter(row, 5)
    before, total, start = -1, 0, {}
    for symbol in sorted(frequency):
        f = frequency[symbol]
        w = f.bit_length()
        steps.next(symbol - before - 1, w)
        row.bits(f - 2 ** (w - 1), w - 1)
        before, start[symbol], total = symbol, total, total + f
    row.finish(to)

    # "A writer begins where a reader ends", and takes the symbols in reverse.
    states = [2**23] if form == 0 else [2**16] * 4
    emitted = []
    for i in reversed(range(len(symbols))):
        s, k = symbols[i], i % len(states)
        f, x = frequency[s], states[k]
        if form == 0:
            while x >= 2 ** (31 - n) * f:
                emitted.append(x % 256)
                x //= 256
        elif x >= 2 ** (32 - n) * f:
            emitted.append(x % 2**16)
            x //= 2**16
        states[k] = x // f * 2**n + x % f + start[s]
    for x in states:
        to.integer(x, 4)
    for piece in reversed(emitted):
        to.integer(piece, 1 if form == 0 else 2)


def write_range(to, said):
    """7.4, from the bits and the probabilities of a 0 that a reader had for them."""
    low, size, out = 0, 2**32 - 1, 0  # the bytes already out are one number, so that a carry needs no words
    count = 0
    for bit, zero in said:
        bound = size // 65536 * zero
        if bit == 1:
            low, size = low + bound, size - bound
        else:
            size = bound
        while size < 2**24:
            # The top byte of low goes out; low may have reached 2^32.
            out, low, size, count = 256 * out + (low >> 24), 256 * (low % 2**24), 256 * size, count + 1
    out = 2**32 * out + shortest(low, size)
    to.out += out.to_bytes(count + 4, "big").rstrip(b"\0")


# == 9 Sparse positions ==============================================================================================


def write_positions(to, form, places, length):
    to.varint(len(places))
    if form is None:
        return
    kind, parameter, lengths = form
    to.integer(16 * kind + parameter, 1)
    row = BitWriter()
    if kind == BITMAP:
        taken = set(places)
        for p in range(length):
            row.bits(int(p in taken), 1)
        row.finish(to)
        return
    gaps = [p - before for before, p in zip([-1] + places, places)]
    if kind == EXP_GOLOMB:
        for gap in gaps:
            row.exp_golomb(gap - 1, parameter)
        row.finish(to)
        return
    w = parameter
    entries = []
    for gap in gaps:
        entries += [2**w] * ((gap - 1) // 2**w) + [(gap - 1) % 2**w]
    if kind == RELATIVE:
        for entry in entries:
            row.bits(min(entry, 2**w - 1), w)
            if entry >= 2**w - 1:
                row.bits(int(entry == 2**w - 1), 1)
        row.finish(to)
    else:
        to.varint(len(entries) - len(places))
        write_huffman(to, lengths, entries, 2**w + 1)


# The tags of sections 5 and 7.
METHODS = {1: write_raw, 2: write_codebook, 3: write_sparse, 4: write_levels, 5: write_miracle, 6: write_sparse_raw}
METHODS[7] = write_legacy
CODERS = {15: write_fixed, 16: write_huffman, 17: write_rans}
