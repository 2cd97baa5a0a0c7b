"""A second decoder of the .knet file format, in plain Python.

It is written from docs/format.md alone, and is meant to be read beside it: the same order, with the number of the
section in force above each part. It shares no code and no idea with the TypeScript codecs, and where it could choose
between clear and fast it is clear. `test/spec/spec.test.ts` holds the two against one another: a file that means
different things to them is a fault of one of them, or of the document.

    python3 decoder.py FILE...     one line of JSON per file
    python3 decoder.py --hex       the same for hexadecimal text on standard input, one file per line

Standard library only, Python 3.9 or later.
"""

import hashlib
import json
import struct
import sys
import zlib


class Refused(Exception):
    """Section 1.2, `refuse(code)`: these bytes are not a file. The offset is that of section 11."""

    def __init__(self, code, offset):
        super().__init__(f"{code} at byte {offset}")
        self.code = code
        self.offset = offset


# == 1 Conventions ===================================================================================================


class Reader:
    """1.2: the names of reading functions. The bytes at hand are those from `at` to `end` of a file."""

    def __init__(self, data, at, end):
        self.data = data
        self.at = at
        self.end = end

    def bytes(self, n):
        if n > self.end - self.at:
            raise Refused("truncated", self.end)
        self.at += n
        return self.data[self.at - n : self.at]

    def u8(self):
        return self.bytes(1)[0]

    def u16(self):
        return int.from_bytes(self.bytes(2), "little")

    def u32(self):
        return int.from_bytes(self.bytes(4), "little")

    def varint(self, least, most):
        """1.3: seven bits per byte, the lowest first, one spelling only."""
        start = self.at
        value, place = 0, 1
        while True:
            byte = self.u8()
            if place > 2**49 or (place == 2**49 and byte % 128 > 15):
                raise Refused("varint-range", start)
            value += byte % 128 * place
            if byte < 128:
                if byte == 0 and place > 1:
                    raise Refused("varint-overlong", start)
                if value < least or value > most:
                    raise Refused("varint-range", start)
                return value
            place *= 128

    def text(self, most):
        """1.5: UTF-8 without what changes the text around it."""
        n = self.varint(1, most)
        start = self.at
        raw = self.bytes(n)
        try:
            text = raw.decode("utf-8")  # strict: shortest forms only, no surrogates
        except UnicodeDecodeError:
            raise Refused("text-utf8", start) from None
        if any(is_control(ord(character)) for character in text):
            raise Refused("text-control", start)
        return text

    def float64(self):
        """1.6: finite, not -0, not subnormal."""
        start = self.at
        raw = self.bytes(8)
        exponent = int.from_bytes(raw, "little") >> 52 & 0x7FF
        value = struct.unpack("<d", raw)[0]
        if exponent == 0x7FF or (exponent == 0 and raw != bytes(8)):
            raise Refused("number", start)
        return value


def is_control(point):
    """1.5: the code points of `text-control`."""
    return (
        point <= 0x1F
        or 0x7F <= point <= 0x9F
        or point in (0x200E, 0x200F, 0xFEFF)
        or 0x2028 <= point <= 0x202E
        or 0x2066 <= point <= 0x2069
    )


def crc32(data):
    """1.4: the CRC-32 of zlib."""
    return zlib.crc32(data)


class BitReader:
    """1.1: a row of bits, the most significant of a byte first. `bit` counts from the first bit of the file."""

    def __init__(self, reader):
        self.reader = reader
        self.bit = 8 * reader.at

    def at(self):
        """The offset of the byte that holds the next bit."""
        return self.bit // 8

    def bits(self, n):
        stop = self.bit + n
        if stop > 8 * self.reader.end:
            raise Refused("truncated", self.reader.end)
        first, last = self.bit // 8, (stop + 7) // 8
        value = int.from_bytes(self.reader.data[first:last], "big") >> (8 * last - stop)
        self.bit = stop
        return value % 2**n

    def finish(self):
        """1.1: the row ends at the next byte; the bits between are zero."""
        at = self.at()
        if self.bits(-self.bit % 8) != 0:
            raise Refused("padding", at)
        self.reader.at = self.bit // 8

    # 7.5 Universal codes.

    def gamma(self, most, start=None):
        """1 to most."""
        start = self.at() if start is None else start
        zeros = 0
        while self.bits(1) == 0:
            zeros += 1
            if zeros >= most.bit_length():
                raise Refused("golomb-range", start)
        value = 2**zeros + self.bits(zeros)
        if value > most:
            raise Refused("golomb-range", start)
        return value

    def exp_golomb(self, order, most):
        """0 to most."""
        start = self.at()
        value = (self.gamma(most // 2**order + 1, start) - 1) * 2**order + self.bits(order)
        if value > most:
            raise Refused("golomb-range", start)
        return value


class StepReader:
    """7.5, rows of steps: numbers that differ little from the one before, and absent entries between them."""

    def __init__(self, row, field):
        self.row = row
        self.field = field
        self.value = None

    def next(self, most_absent, least, most):
        row, start = self.row, self.row.at()
        if self.value is None:
            absent = row.gamma(most_absent + 1) - 1
            value = row.bits(self.field)
        else:
            absent = 0
            code = row.gamma(2 * most + 2)
            if code == 4:
                if most_absent == 0:
                    raise Refused("step-absent", start)
                absent = row.gamma(most_absent)
                code = row.gamma(2 * most + 1)
            elif code > 4:
                code = code - 1
            # 0, 1, -1, 2, -2, ... for code = 1, 2, 3, 4, 5, ...
            value = self.value + (code // 2 if code % 2 == 0 else -(code // 2))
        if value < least or value > most:
            raise Refused("step-range", start)
        self.value = value
        return absent, value


# == 2 The file ======================================================================================================

MAGIC = bytes([0xFB, 0x6B, 0x6E])
VERSION = 0


def read_file(data):
    """Bytes to a dictionary of everything the file chose, with `tensors`: a list of (name, shape, bytes)."""
    reader = Reader(data, 0, len(data))
    for k in range(3):
        if reader.u8() != MAGIC[k]:
            raise Refused("magic", 0)
    if reader.u8() != VERSION:
        raise Refused("version", 3)
    head_at = reader.at
    head = reader.varint(0, 2**53 - 1)
    architecture, has_metadata, framed = head // 4, head // 2 % 2 == 1, head % 2 == 1
    if architecture != 0 and architecture not in ARCHITECTURES:
        raise Refused("architecture", head_at)
    if len(data) >= 65536 and not framed:
        raise Refused("frame", head_at)
    if not framed:
        # Checked as a whole before anything after its head is looked at.
        if reader.end - reader.at < 4:
            raise Refused("truncated", reader.end)
        reader.end -= 4
        check_crc(data, 0, Reader(data, reader.end, len(data)))

    graph = ARCHITECTURES[architecture] if architecture else read_graph(reader)
    metadata = read_metadata(reader) if has_metadata else None
    if framed:
        check_crc(data, 0, reader)
    tensors = tensors_of(graph)
    if architecture == 0 and not framed:
        check_ratio(sum(product(shape) for _, shape in tensors), len(data), reader.at)
    sections = []
    is_open = [True] * len(tensors)
    numbers = {}
    while any(is_open):
        sections.append(read_section(reader, tensors, is_open, numbers, framed, architecture))
    if reader.at < reader.end:
        raise Refused("leftover", reader.at)
    return {
        "architecture": architecture,
        "framed": framed,
        "graph": graph,
        "metadata": metadata,
        "sections": sections,
        "tensors": [(name, shape, numbers[k]) for k, (name, shape) in enumerate(tensors)],
    }


def check_ratio(count, size, at):
    """10: a file of no known architecture declares at most 4,096 bytes per byte."""
    if 4 * count > RATIO * size:
        raise Refused("limit-ratio", at)


def check_crc(data, start, reader):
    """Compares the checksum that comes next with that of all bytes from `start` on before it."""
    at = reader.at
    if crc32(data[start:at]) != reader.u32():
        raise Refused("checksum", at)


# == 3 The graph =====================================================================================================

SIZE = 2**20  # 10: the limit `dimension`
ELEMENTS = 2**26  # 10: the limit `elements`, and the largest array of 3.3
CLASSES = 65536  # 10: the limit `classes`
RATIO = 4096  # 10: the limit `ratio`

USUAL_PIXELS = (1 / 255, 0.0)  # pixels = 0
CONVOLUTION, DENSE, POOLING, FLATTEN, DROPOUT = 1, 2, 3, 4, 5
BIAS, SAME = 8, 16
NAME_CHARACTERS = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_")


def product(sizes):
    result = 1
    for size in sizes:
        result *= size
    return result


def read_graph(reader):
    """A network of no known architecture."""
    graph_at = reader.at
    name = reader.text(64)
    input_shape = [reader.varint(1, SIZE) for _ in range(3)]

    pixels_at = reader.at
    form = reader.u8()
    if form > 1:
        raise Refused("graph-pixels", pixels_at)
    scale, offset = USUAL_PIXELS
    if form == 1:
        scale = reader.float64()
        offset = reader.float64()
        if (scale, offset) == USUAL_PIXELS:
            raise Refused("graph-pixels", pixels_at)

    counted = {CONVOLUTION: 0, DENSE: 0}
    layers = [read_layer(reader, counted) for _ in range(reader.varint(1, 256))]
    if scale == 0:
        raise Refused("graph-shape", graph_at)
    outputs = meet(layers, input_shape, graph_at)

    classes_at = reader.at
    if outputs > CLASSES:
        raise Refused("limit-classes", classes_at)
    form = reader.u8()
    if form > 1:
        raise Refused("graph-classes", classes_at)
    usual = usual_classes(outputs)
    classes = usual
    if form == 1:
        classes = []
        seen = set()
        for _ in range(outputs):
            at = reader.at
            classes.append(reader.text(64))
            if classes[-1] in seen:
                raise Refused("graph-classes", at)
            seen.add(classes[-1])
        if classes == usual:
            raise Refused("graph-classes", classes_at)
    elements = sum(product(tensor) for layer in layers for _, tensor in layer["tensors"])
    if elements > ELEMENTS:
        raise Refused("limit-elements", graph_at)
    return {
        "name": name,
        "input": input_shape,
        "pixels": (scale, offset),
        "layers": layers,
        "classes": classes,
    }


def usual_classes(outputs):
    return [str(k) for k in range(outputs)]


# -- 3.1 Layers


def usual_name(kind, counted):
    return ("conv" if kind == CONVOLUTION else "fc") + str(counted[kind])


def read_layer(reader, counted):
    """One layer. `counted`: how many convolutions and dense layers there were; kept up to date here."""
    at = reader.at
    kind = reader.u8()
    if kind not in (CONVOLUTION, DENSE, POOLING, FLATTEN, DROPOUT):
        raise Refused("graph-layer", at)
    layer = {"kind": kind}
    if kind in counted:
        counted[kind] += 1
        layer["name"] = read_name(reader, usual_name(kind, counted))
        layer["flags"] = read_flags(reader, kind)
        layer["sizes"] = [reader.varint(1, SIZE) for _ in range(5 if kind == CONVOLUTION else 1)]
    elif kind == POOLING:
        layer["sizes"] = [reader.varint(1, SIZE) for _ in range(2)]
    elif kind == DROPOUT:
        layer["keep"] = reader.float64()
    return layer


def read_name(reader, usual):
    at = reader.at
    if at < reader.end and reader.data[at] == 0:
        reader.u8()
        return usual
    name = reader.text(64)
    if name == usual:
        raise Refused("graph-name", at)
    return name


def read_flags(reader, kind):
    at = reader.at
    flags = reader.u8()
    if flags % 8 > 4:
        raise Refused("graph-activation", at)
    if flags >= (32 if kind == CONVOLUTION else 16):
        raise Refused("graph-flags", at)
    return flags


# -- 3.2 What the layers compute: only the shapes matter here.


def layer_shapes(layer, shape, at):
    """Sets the layer's `tensors`, and returns the shape of its output; refuses layers that do not meet (3.3)."""
    kind = layer["kind"]
    if kind != DROPOUT and len(shape) != (1 if kind == DENSE else 3):
        raise Refused("graph-shape", at)
    tensors, patches = [], 0
    output = shape
    if kind == CONVOLUTION:
        filters, kernel_height, kernel_width, stride_down, stride_right = layer["sizes"]
        height, width, channels = shape
        if layer["flags"] & SAME:
            output = [-(-height // stride_down), -(-width // stride_right), filters]
        else:
            if kernel_height > height or kernel_width > width:
                raise Refused("graph-shape", at)
            output = [(height - kernel_height) // stride_down + 1, (width - kernel_width) // stride_right + 1, filters]
        tensors = [[kernel_height, kernel_width, channels, filters], [filters]]
        patches = output[0] * output[1] * kernel_height * kernel_width * channels
    elif kind == DENSE:
        output = layer["sizes"]
        tensors = [[shape[0], output[0]], [output[0]]]
    elif kind == POOLING:
        size, stride = layer["sizes"]
        height, width, channels = shape
        if size > height or size > width:
            raise Refused("graph-shape", at)
        output = [(height - size) // stride + 1, (width - size) // stride + 1, channels]
    elif kind == FLATTEN:
        output = [product(shape)]

    # 3.3: `<name>.weight`, then `<name>.bias` if there is a bias.
    layer["tensors"] = []
    if tensors:
        layer["tensors"].append((layer["name"] + ".weight", tensors[0]))
        if layer["flags"] & BIAS:
            layer["tensors"].append((layer["name"] + ".bias", tensors[1]))
    largest = max([product(output), patches] + [product(tensor) for _, tensor in layer["tensors"]])
    if largest > ELEMENTS:
        raise Refused("graph-shape", at)
    return output


# -- 3.3 Tensors


def meet(layers, shape, graph_at):
    """The rules of 3.3, once all layers have been read. Gives the number of outputs."""
    names = set()
    if product(shape) > ELEMENTS:
        raise Refused("graph-shape", graph_at)
    for layer in layers:
        shape = layer_shapes(layer, shape, graph_at)
        if layer["kind"] == DROPOUT and not 0 < layer["keep"] <= 1:
            raise Refused("graph-shape", graph_at)
        if "name" in layer:
            name = layer["name"]
            # 3.1 what names are made of; 3.3 tensors are named after their layer, so layers must differ.
            if not set(name) <= NAME_CHARACTERS or name[0] == "." or name in names:
                raise Refused("graph-shape", graph_at)
            names.add(name)
    # The last layer gives [features]; at least one layer has weights.
    if len(shape) != 1 or not names:
        raise Refused("graph-shape", graph_at)
    return shape[0]


def tensors_of(graph):
    """Names and shapes, in the order of the layers."""
    return [tensor for layer in graph["layers"] for tensor in layer["tensors"]]


# == 4 Sections ======================================================================================================


def read_section(reader, tensors, is_open, numbers, framed, architecture):
    """One section: closes its tensors in `is_open` and puts their bytes into `numbers`, by place in the network."""
    start = reader.at
    method, cover = divmod(reader.u8(), 4)
    if method not in METHODS:
        raise Refused("method-unknown", start)
    if cover == 3:
        raise Refused("section-cover", start)
    members = read_cover(reader, cover, is_open, start)
    sizes = [product(tensors[k][1]) for k in members]
    count = sum(sizes)

    content = reader
    if framed:
        length = reader.varint(0, 2**53 - 1)
        # The content is looked at only after its checksum has been compared.
        content = Reader(reader.data, reader.at, reader.at + length)
        reader.bytes(length)
        check_crc(reader.data, start, reader)
        if architecture == 0:
            check_ratio(count, reader.at - start, start)
    chosen, row = METHODS[method](content, count)
    if framed and content.at < content.end:
        raise Refused("leftover", content.at)

    at = 0
    for k, size in zip(members, sizes):
        is_open[k] = False
        numbers[k] = row[4 * at : 4 * (at + size)]
        at += size
    return {"method": method, "members": members, "count": count, "chosen": chosen}


def read_cover(reader, cover, is_open, start):
    """Which tensors the section holds, as places in the network, rising."""
    first, *others = [k for k, still in enumerate(is_open) if still]
    if cover == 0:
        return [first]
    if cover == 1:
        if not others:
            raise Refused("section-cover", start)
        return [first] + others
    at = reader.at
    bitmap = reader.bytes((len(others) + 7) // 8)
    named = [bitmap[k // 8] >> (k % 8) & 1 for k in range(8 * len(bitmap))]
    if any(named[len(others) :]):
        raise Refused("padding", at + len(bitmap) - 1)
    if sum(named) in (0, len(others)):
        raise Refused("section-cover", at)
    return [first] + [k for k, bit in zip(others, named) if bit]


# == 5 Methods =======================================================================================================
# Numbers stay the four bytes that they are: nothing here could change a NaN or a zero.

ZERO = bytes(4)


def read_raw(reader, count):
    """5.1 float32 (tag 1)."""
    row = reader.bytes(4 * count)
    return row, row


def read_codebook(reader, count):
    """5.2 Codebook (tag 2)."""
    at = reader.at
    entries = read_entries(reader, count)
    coder, indices = read_symbols(reader, count, len(entries))
    check_used(indices, entries, at)
    return (entries, coder, indices), look_up(entries, indices, count)


def read_sparse(reader, count):
    """5.3 Sparse codebook (tag 3)."""
    form, places = read_positions(reader, count)
    if not places:
        return (form, places, [], None, []), bytes(4 * count)
    at = reader.at
    entries = read_entries(reader, len(places), zero_refused=True)
    coder, indices = read_symbols(reader, len(places), len(entries))
    check_used(indices, entries, at)
    named = look_up(entries, indices, len(places))
    if len(places) == count:
        return (form, places, entries, coder, indices), named
    row = bytearray(4 * count)
    for i, place in enumerate(places):
        row[4 * place : 4 * place + 4] = named[4 * i : 4 * i + 4]
    return (form, places, entries, coder, indices), bytes(row)


def check_used(indices, entries, at):
    """Every entry is named at least once."""
    if len(entries) > 1 and len(set(indices)) < len(entries):
        raise Refused("codebook-unused", at)


def look_up(entries, indices, count):
    """An alphabet of 1 has no indices written; every number is that entry."""
    return entries[0] * count if len(entries) == 1 else b"".join([entries[k] for k in indices])


# == 6 Entries of a codebook =========================================================================================


def read_entries(reader, most, zero_refused=False):
    """The entries, four bytes each."""
    entries = []
    before = None
    for _ in range(reader.varint(1, min(most, 4096))):
        at = reader.at
        entry = reader.bytes(4)
        if entry[3] & 0x7F == 0x7F and entry[2] & 0x80 or entry == b"\0\0\0\x80":
            raise Refused("codebook-number", at)  # infinite, NaN, or -0
        if zero_refused and entry == ZERO:
            raise Refused("codebook-zero", at)
        value = struct.unpack("<f", entry)[0]
        if before is not None and value <= before:
            raise Refused("codebook-order", at)
        before = value
        entries.append(entry)
    return entries


# == 7 Symbols =======================================================================================================


def read_symbols(reader, count, alphabet):
    """The coder with its tables, and the symbols."""
    if count == 0 or alphabet == 1:
        return None, []
    at = reader.at
    tag = reader.u8()
    if tag not in CODERS:
        raise Refused("coder-unknown", at)
    table, symbols = CODERS[tag](reader, count, alphabet)
    return (tag, table), symbols


def read_fixed(reader, count, alphabet):
    """7.1 Fixed width."""
    n = (alphabet - 1).bit_length()
    row = BitReader(reader)
    if n * count > 8 * (reader.end - reader.at):
        raise Refused("truncated", reader.end)  # 1.2: a field whose size is known is read as a whole
    symbols = []
    for _ in range(count):
        at = row.at()
        symbol = row.bits(n)
        if symbol >= alphabet:
            raise Refused("fixed-range", at)
        symbols.append(symbol)
    row.finish()
    return None, symbols


def read_huffman(reader, count, alphabet):
    """7.2 Huffman. The table is a dictionary of lengths by symbol."""
    row = BitReader(reader)
    lengths = {}
    steps = StepReader(row, 4)
    symbol, filled = 0, 0
    while filled < 2**15:
        at = row.at()
        if symbol == alphabet:
            raise Refused("huffman-incomplete", at)
        absent, value = steps.next(alphabet - symbol - 1, 0 if filled == 0 else 1, 15)
        symbol += absent
        lengths[symbol] = value
        if value == 0:
            row.finish()
            return lengths, [symbol] * count
        filled += 2 ** (15 - value)
        if filled > 2**15:
            raise Refused("huffman-oversubscribed", at)
        symbol += 1

    codes = {code: symbol for symbol, code in canonical_codes(lengths).items()}
    symbols = []
    for _ in range(count):
        length, code = 0, 0
        while (length, code) not in codes:
            length, code = length + 1, 2 * code + row.bits(1)
        symbols.append(codes[length, code])
    row.finish()
    return lengths, symbols


def canonical_codes(lengths):
    """(length, code) by symbol: in order of length, then of symbol, the first code 0."""
    codes = {}
    code, before = -1, 0
    for length, symbol in sorted((length, symbol) for symbol, length in lengths.items()):
        code = (code + 1) * 2 ** (length - before)
        codes[symbol] = (length, code)
        before = length
    return codes


def read_rans(reader, count, alphabet):
    """7.3 rANS. The table is (form, n, frequencies by symbol)."""
    row = BitReader(reader)
    at = row.at()
    form = row.bits(1)
    n = 12 + row.bits(3)
    if n > 16:
        raise Refused("rans-bits", at)
    steps = StepReader(row, 5)
    symbol, left = 0, 2**n
    frequency = {}
    start, owner = {}, []  # `owner` by slot
    while left > 0:
        at = row.at()
        if symbol == alphabet:
            raise Refused("rans-sum", at)
        absent, w = steps.next(alphabet - symbol - 1, 1, n + 1)
        f = 2 ** (w - 1) + row.bits(w - 1)
        if f > left:
            raise Refused("rans-sum", at)
        symbol += absent
        frequency[symbol], start[symbol] = f, len(owner)
        owner += [symbol] * f
        left, symbol = left - f, symbol + 1
    row.finish()

    def step(x):
        m = x % 2**n
        s = owner[m]
        return s, frequency[s] * (x >> n) + m - start[s]

    symbols = []
    if form == 0:
        at = reader.at
        x = reader.u32()
        if not 2**23 <= x < 2**31:
            raise Refused("rans-state", at)
        for _ in range(count):
            s, x = step(x)
            while x < 2**23:
                x = 256 * x + reader.u8()
            symbols.append(s)
        if x != 2**23:
            raise Refused("rans-end", reader.at)
    else:
        states = []
        for _ in range(4):
            at = reader.at
            states.append(reader.u32())
            if states[-1] < 2**16:
                raise Refused("rans-state", at)
        for i in range(count):
            s, x = step(states[i % 4])
            states[i % 4] = x if x >= 2**16 else 2**16 * x + reader.u16()
            symbols.append(s)
        if states != [2**16] * 4:
            raise Refused("rans-end", reader.at)
    return (form, n, frequency), symbols


# 7.4, 7.6, 7.7 Range coder, mixing, levels: no method uses them yet. 7.5 Universal codes: in BitReader and StepReader.


# == 8 Metadata ======================================================================================================


def read_metadata(reader):
    """Lines of (key, value). A reader may skip them; one that checks everything does not."""
    length = reader.varint(1, 65536)
    start = reader.at
    reader.bytes(length)
    inner = Reader(reader.data, start, reader.at)
    lines = []
    for _ in range(inner.varint(1, length)):
        at = inner.at
        key = inner.text(64)
        if not "a" <= key[0] <= "z" or not set(key) <= set("abcdefghijklmnopqrstuvwxyz0123456789-"):
            raise Refused("metadata-key", at)
        if lines and key <= lines[-1][0]:
            raise Refused("metadata-order", at)
        lines.append((key, inner.text(65536)))
    if inner.at < inner.end:
        raise Refused("leftover", inner.at)
    return lines


# == 9 Sparse positions ==============================================================================================

BITMAP, RELATIVE, EXP_GOLOMB, HUFFMAN = 0, 1, 2, 3
FORMS = {BITMAP: range(1), RELATIVE: range(1, 16), EXP_GOLOMB: range(16), HUFFMAN: range(1, 12)}


class Places:
    """Positions as gaps build them: `last` begins at -1, and nothing may reach `length`."""

    def __init__(self, length):
        self.length = length
        self.last = -1
        self.taken = []

    def move(self, gap, at):
        self.last += gap
        if self.last >= self.length:
            raise Refused("sparse-position", at)

    def take(self, gap, at):
        self.move(gap, at)
        self.taken.append(self.last)


def read_positions(reader, length):
    """The form with what it announced, and the places that are taken, rising."""
    many_at = reader.at
    many = reader.varint(0, length)
    if many in (0, length):
        return None, range(many)
    at = reader.at
    kind, parameter = divmod(reader.u8(), 16)
    if kind not in FORMS or parameter not in FORMS[kind]:
        raise Refused("sparse-form", at)
    if kind == BITMAP:
        taken = read_bitmap(reader, length, many, many_at)
    elif kind == RELATIVE:
        taken = read_relative(reader, length, many, parameter)
    elif kind == EXP_GOLOMB:
        taken = read_golomb_gaps(reader, length, many, parameter)
    else:
        lengths, taken = read_huffman_gaps(reader, length, many, parameter)
        return (kind, parameter, lengths), taken
    return (kind, parameter, None), taken


def read_bitmap(reader, length, many, many_at):
    bitmap = reader.bytes((length + 7) // 8)
    taken = [p for p in range(8 * len(bitmap)) if bitmap[p // 8] >> (7 - p % 8) & 1]
    if taken and taken[-1] >= length:
        raise Refused("padding", reader.at - 1)
    if len(taken) != many:
        raise Refused("sparse-count", many_at)
    return taken


def read_relative(reader, length, many, w):
    row = BitReader(reader)
    places = Places(length)
    while len(places.taken) < many:
        at = row.at()
        entry = row.bits(w)
        if entry == 2**w - 1 and row.bits(1) == 0:
            places.move(2**w, at)
        else:
            places.take(entry + 1, at)
    row.finish()
    return places.taken


def read_golomb_gaps(reader, length, many, order):
    row = BitReader(reader)
    places = Places(length)
    for _ in range(many):
        at = row.at()
        places.take(row.exp_golomb(order, length) + 1, at)
    row.finish()
    return places.taken


def read_huffman_gaps(reader, length, many, w):
    fillers_at = reader.at
    fillers = reader.varint(0, length // 2**w)
    start = reader.at
    lengths, entries = read_huffman(reader, many + fillers, 2**w + 1)
    places = Places(length)
    for entry in entries:
        if entry == 2**w:
            places.move(2**w, start)
        else:
            places.take(entry + 1, start)
    if len(places.taken) != many:
        raise Refused("sparse-count", fillers_at)
    if entries[-1] == 2**w:
        raise Refused("sparse-filler", start)
    return lengths, places.taken


# == 10 Limits, 11 What is refused ===================================================================================
# The limits stand where they are checked. `memory` and `table` cannot be exceeded here: 2^26 numbers take a quarter of
# that memory, and no table has more than 4,096 entries.


# == 12 Known architectures ==========================================================================================


def known(name, *layers):
    """The graph of a known architecture: input 28 x 28 x 1, scale 1/255, offset 0, classes "0" to "9"."""
    graph = {"name": name, "input": [28, 28, 1], "pixels": USUAL_PIXELS, "classes": usual_classes(10)}
    counted = {CONVOLUTION: 0, DENSE: 0}
    shape = graph["input"]
    graph["layers"] = []
    for kind, flags, *sizes in layers:
        layer = {"kind": kind, "flags": flags, "sizes": sizes}
        if kind in counted:
            counted[kind] += 1
            layer["name"] = usual_name(kind, counted)
        shape = layer_shapes(layer, shape, None)
        graph["layers"].append(layer)
    return graph


RELU = 1
POOL = (POOLING, 0, 2, 2)
ARCHITECTURES = {
    1: known(
        "lenet5",
        (CONVOLUTION, RELU + BIAS, 20, 5, 5, 1, 1),
        POOL,
        (CONVOLUTION, RELU + BIAS, 50, 5, 5, 1, 1),
        POOL,
        (FLATTEN, 0),
        (DENSE, RELU + BIAS, 500),
        (DENSE, BIAS, 10),
    ),
    2: known(
        "lenet300",
        (FLATTEN, 0),
        (DENSE, RELU + BIAS, 300),
        (DENSE, RELU + BIAS, 100),
        (DENSE, BIAS, 10),
    ),
    3: known("softmax", (FLATTEN, 0), (DENSE, BIAS, 10)),
    4: known("linear", (FLATTEN, 0), (DENSE, 0, 10)),
}


# The tags of sections 5 and 7.
METHODS = {1: read_raw, 2: read_codebook, 3: read_sparse}
CODERS = {15: read_fixed, 16: read_huffman, 17: read_rans}


# == The command =====================================================================================================


def verdict(data):
    """What there is to say about some bytes, as a dictionary."""
    from encoder import write_file  # beside this file; only `rewritten` needs it

    try:
        file = read_file(data)
    except Refused as refused:
        return {"ok": False, "code": refused.code, "offset": refused.offset}
    return {
        "ok": True,
        "network": file["graph"]["name"],
        "tensors": [
            {"name": name, "shape": shape, "sha256": hashlib.sha256(numbers).hexdigest()}
            for name, shape, numbers in file["tensors"]
        ],
        "rewritten": write_file(file) == data,
    }


def main(arguments):
    sys.dont_write_bytecode = True
    if arguments == ["--hex"]:
        for line in sys.stdin:
            print(json.dumps(verdict(bytes.fromhex(line))), flush=True)
        return 0
    if not arguments or arguments[0].startswith("-"):
        print("usage: decoder.py FILE... | decoder.py --hex < lines", file=sys.stderr)
        return 2
    accepted = True
    for name in arguments:
        with open(name, "rb") as opened:
            found = verdict(opened.read())
        accepted = accepted and found["ok"]
        print(json.dumps({"file": name, **found}))
    return 0 if accepted else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
