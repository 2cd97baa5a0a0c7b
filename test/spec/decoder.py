"""A second decoder of the .knet file format, in plain Python.

It is written from docs/format.md alone, and is meant to be read beside it: the same order, with the number of the
section in force above each part. It shares no code and no idea with the TypeScript codecs, and where it could choose
between clear and fast it is clear. `test/spec/spec.test.ts` holds the two against one another: a file that means
different things to them is a fault of one of them, or of the document.

legacy.py reads one method, encoder.py is the way back, verdict.py the command. No libraries, Python 3.9 or later.
"""

import functools
import itertools
import math
import struct
import zlib


class Refused(Exception):
    """Section 1.2, `refuse(code)`: these bytes are not a file. The offset is that of section 11."""

    def __init__(self, code, offset):
        super().__init__(f"{code} at byte {offset}")
        self.code, self.offset = code, offset


def need(holds, code, offset):
    """What the document writes as "(else `code`)"."""
    if not holds:
        raise Refused(code, offset)


# == 1 Conventions ===================================================================================================
class Reader:
    """1.2: the names of reading functions. The bytes at hand are those from `at` to `end` of a file; `bit` counts from
    the first bit of the file."""

    def __init__(self, data, at, end):
        self.data, self.bit, self.end = data, 8 * at, end

    @property
    def at(self):
        """The offset of the byte that holds the next bit."""
        return self.bit // 8

    def bytes(self, n):
        self.room(8 * n)
        self.bit += 8 * n
        return self.data[self.at - n : self.at]

    def room(self, bits):
        """1.2: a field of a known size is truncated as a whole."""
        need(self.bit + bits <= 8 * self.end, "truncated", self.end)

    def u8(self):
        return self.bytes(1)[0]

    def u16(self):
        return int.from_bytes(self.bytes(2), "little")

    def u32(self):
        return int.from_bytes(self.bytes(4), "little")

    def varint(self, least, most):
        """1.3: seven bits per byte, the lowest first, one spelling only."""
        start = self.at
        value, place, byte = 0, 1, 128
        while byte >= 128:
            byte = self.u8()
            need(place < 2**49 or (place == 2**49 and byte % 128 <= 15), "varint-range", start)
            need(byte != 0 or place == 1, "varint-overlong", start)
            value, place = value + byte % 128 * place, place * 128
        need(least <= value <= most, "varint-range", start)
        return value

    def text(self, most):
        """1.5: UTF-8 without what changes the text around it."""
        n = self.varint(1, most)
        start, raw = self.at, self.bytes(n)
        try:
            text = raw.decode("utf-8")  # strict: shortest forms only, no surrogates
        except UnicodeDecodeError:
            raise Refused("text-utf8", start) from None
        need(CONTROL.isdisjoint(map(ord, text)), "text-control", start)
        return text

    def float64(self):
        """1.6: finite, not -0, not subnormal."""
        start, raw = self.at, self.bytes(8)
        value = struct.unpack("<d", raw)[0]
        need(raw == bytes(8) or 2**-1022 <= abs(value) < math.inf, "number", start)
        return value

    def bits(self, n):
        """1.1: the most significant bit of a byte comes first."""
        self.room(n)
        self.bit += n
        last = (self.bit + 7) // 8
        value = int.from_bytes(self.data[(self.bit - n) // 8 : last], "big")
        return (value >> (8 * last - self.bit)) % 2**n

    def pad(self):
        """1.1: a row of bits ends at the next byte; the bits between are zero."""
        at = self.at
        need(self.bits(-self.bit % 8) == 0, "padding", at)

    # 7.5 Universal codes.

    def gamma(self, most, start=None):
        """1 to most."""
        start = self.at if start is None else start
        zeros = 0
        while self.bits(1) == 0:
            zeros += 1
            need(zeros < most.bit_length(), "golomb-range", start)
        value = 2**zeros + self.bits(zeros)
        need(value <= most, "golomb-range", start)
        return value

    def exp_golomb(self, order, most):
        """0 to most."""
        start = self.at
        value = (self.gamma(most // 2**order + 1, start) - 1) * 2**order + self.bits(order)
        need(value <= most, "golomb-range", start)
        return value

    def steps(self, field):
        """Begins a row of steps, and gives its `next`."""
        value = None

        def next_step(most_absent, least, most):
            nonlocal value
            start, absent = self.at, 0
            if value is None:
                absent = self.gamma(most_absent + 1) - 1
                value = self.bits(field)
            else:
                code = self.gamma(2 * most + 2)
                if code == 4:
                    need(most_absent > 0, "step-absent", start)
                    absent = self.gamma(most_absent)
                    code = self.gamma(2 * most + 1)
                elif code > 4:
                    code = code - 1
                # 0, 1, -1, 2, -2, ... for code = 1, 2, 3, 4, 5, ...
                value += code // 2 if code % 2 == 0 else -(code // 2)
            need(least <= value <= most, "step-range", start)
            return absent, value

        return next_step


# 1.5: the code points of `text-control`.
CONTROL = {*range(0x20), *range(0x7F, 0xA0), 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF}


# == 2 The file ======================================================================================================
MAGIC = bytes([0xFB, 0x6B, 0x6E])
VERSION = 1


def read_file(data):
    """Bytes to a dictionary of everything the file chose, with `tensors`: a list of (name, shape, bytes)."""
    reader = Reader(data, 0, len(data))
    for byte in MAGIC:
        need(reader.u8() == byte, "magic", 0)
    need(reader.u8() == VERSION, "version", 3)
    head_at, head = reader.at, reader.varint(0, 2**53 - 1)
    architecture, has_metadata, framed = head // 4, head // 2 % 2 == 1, head % 2 == 1
    need(architecture == 0 or architecture in ARCHITECTURES, "architecture", head_at)
    need(framed or len(data) < 65536, "frame", head_at)
    if not framed:
        # Checked as a whole before anything after its head is looked at.
        need(reader.end - reader.at >= 4, "truncated", reader.end)
        reader.end -= 4
        check_crc(data, 0, Reader(data, reader.end, len(data)))

    graph = ARCHITECTURES[architecture] if architecture else read_graph(reader)
    metadata = read_metadata(reader) if has_metadata else None
    if framed:
        check_crc(data, 0, reader)
    tensors = tensors_of(graph)
    if architecture == 0 and not framed:
        need(4 * count_of(shape for _, shape in tensors) <= RATIO * len(data), "limit-ratio", reader.at)
    sections, still, numbers = [], list(range(len(tensors))), {}
    while still:
        sections.append(read_section(reader, tensors, still, numbers, framed, architecture))
    need(reader.at == reader.end, "leftover", reader.at)
    file = {"architecture": architecture, "framed": framed, "graph": graph, "metadata": metadata, "sections": sections}
    return {**file, "tensors": [(name, shape, numbers[k]) for k, (name, shape) in enumerate(tensors)]}


def check_crc(data, start, reader):
    """1.4: compares the checksum that comes next with that of all bytes from `start` on before it."""
    at, checksum = reader.at, reader.u32()
    need(checksum == zlib.crc32(data[start:at]), "checksum", at)


# == 3 The graph =====================================================================================================
# 10: limits. ELEMENTS is also the largest array of 3.3.
SIZE, ELEMENTS, CLASSES, RATIO = 2**20, 2**26, 65536, 4096

USUAL_PIXELS = (1 / 255, 0.0)  # pixels = 0
CONVOLUTION, DENSE, POOLING, FLATTEN, DROPOUT = 1, 2, 3, 4, 5
SIZES = {CONVOLUTION: 5, DENSE: 1, POOLING: 2, FLATTEN: 0, DROPOUT: 0}  # 3.1: how many a layer has
RELU, BIAS, SAME = 1, 8, 16  # 3.1: flags
KEY_CHARACTERS = set("abcdefghijklmnopqrstuvwxyz0123456789-")
NAME_CHARACTERS = KEY_CHARACTERS | set("ABCDEFGHIJKLMNOPQRSTUVWXYZ._")


def read_graph(reader):
    """A network of no known architecture."""
    graph_at, name = reader.at, reader.text(64)
    input_shape = [reader.varint(1, SIZE) for _ in range(3)]

    pixels_at, form = reader.at, reader.u8()
    need(form <= 1, "graph-pixels", pixels_at)
    pixels = (reader.float64(), reader.float64()) if form == 1 else USUAL_PIXELS
    need(form == 0 or pixels != USUAL_PIXELS, "graph-pixels", pixels_at)

    counted = {CONVOLUTION: 0, DENSE: 0}
    layers = [read_layer(reader, counted) for _ in range(reader.varint(1, 256))]
    need(pixels[0] != 0, "graph-shape", graph_at)
    outputs = meet(layers, input_shape, graph_at)

    need(outputs <= CLASSES, "limit-classes", reader.at)
    classes_at, form = reader.at, reader.u8()
    need(form <= 1, "graph-classes", classes_at)
    classes = usual = [str(k) for k in range(outputs)]
    if form == 1:
        classes, seen = [], set()
        for _ in range(outputs):
            at, spelled = reader.at, reader.text(64)
            need(spelled not in seen, "graph-classes", at)
            classes.append(spelled)
            seen.add(spelled)
        need(classes != usual, "graph-classes", classes_at)
    graph = {"name": name, "input": input_shape, "pixels": pixels, "layers": layers, "classes": classes}
    need(count_of(shape for _, shape in tensors_of(graph)) <= ELEMENTS, "limit-elements", graph_at)
    return graph


def usual_name(kind, counted):
    return ("conv" if kind == CONVOLUTION else "fc") + str(counted[kind])


def read_layer(reader, counted):
    """3.1: one layer. `counted`: how many convolutions and dense layers there were; kept up to date here."""
    at, kind = reader.at, reader.u8()
    need(kind in SIZES, "graph-layer", at)
    layer = {"kind": kind}
    if kind in counted:
        counted[kind] += 1
        at, layer["name"] = reader.at, usual_name(kind, counted)
        if reader.at < reader.end and reader.data[at] == 0:
            reader.u8()
        else:
            name, layer["name"] = layer["name"], reader.text(64)
            need(layer["name"] != name, "graph-name", at)
        at, flags = reader.at, reader.u8()
        need(flags % 8 <= 4, "graph-activation", at)
        need(flags < (32 if kind == CONVOLUTION else 16), "graph-flags", at)
        layer["flags"] = flags
    layer["sizes"] = [reader.varint(1, SIZE) for _ in range(SIZES[kind])]
    if kind == DROPOUT:
        layer["keep"] = reader.float64()
    return layer


def layer_shapes(layer, shape, at):
    """3.2: sets the layer's `tensors`, and returns the shape of its output; refuses layers that do not meet (3.3)."""
    kind = layer["kind"]
    need(kind == DROPOUT or len(shape) == (1 if kind == DENSE else 3), "graph-shape", at)
    weight, patches, output = None, 0, shape
    if kind == CONVOLUTION:
        filters, kernel_height, kernel_width, stride_down, stride_right = layer["sizes"]
        height, width, channels = shape
        if layer["flags"] & SAME:
            output = [-(-height // stride_down), -(-width // stride_right), filters]
        else:
            need(kernel_height <= height and kernel_width <= width, "graph-shape", at)
            output = [(height - kernel_height) // stride_down + 1, (width - kernel_width) // stride_right + 1, filters]
        weight = [kernel_height, kernel_width, channels, filters]
        patches = output[0] * output[1] * kernel_height * kernel_width * channels
    elif kind == DENSE:
        output = layer["sizes"]
        weight = [shape[0], output[0]]
    elif kind == POOLING:
        (size, stride), (height, width, channels) = layer["sizes"], shape
        need(size <= height and size <= width, "graph-shape", at)
        output = [(height - size) // stride + 1, (width - size) // stride + 1, channels]
    elif kind == FLATTEN:
        output = [math.prod(shape)]

    # 3.3: `<name>.weight`, then `<name>.bias` if there is a bias.
    layer["tensors"] = [(layer["name"] + ".weight", weight)] if weight else []
    if weight and layer["flags"] & BIAS:
        layer["tensors"].append((layer["name"] + ".bias", weight[-1:]))
    largest = max([math.prod(output), patches] + [math.prod(tensor) for _, tensor in layer["tensors"]])
    need(largest <= ELEMENTS, "graph-shape", at)
    return output


def meet(layers, shape, graph_at):
    """The rules of 3.3, once all layers have been read. Gives the number of outputs."""
    names = set()
    need(math.prod(shape) <= ELEMENTS, "graph-shape", graph_at)
    for layer in layers:
        shape = layer_shapes(layer, shape, graph_at)
        need(0 < layer.get("keep", 1) <= 1, "graph-shape", graph_at)
        if "name" in layer:
            # 3.1 what names are made of; 3.3 tensors are named after their layer, so layers must differ.
            name = layer["name"]
            need(set(name) <= NAME_CHARACTERS and name[0] != "." and name not in names, "graph-shape", graph_at)
            names.add(name)
    # The last layer gives [features]; at least one layer has weights.
    need(len(shape) == 1 and names, "graph-shape", graph_at)
    return shape[0]


def tensors_of(graph):
    """3.3: names and shapes, in the order of the layers."""
    return [tensor for layer in graph["layers"] for tensor in layer["tensors"]]


# == 4 Sections ======================================================================================================
def read_section(reader, tensors, still, numbers, framed, architecture):
    """One section: takes its tensors out of `still`, the open ones, and puts their bytes into `numbers`."""
    start = reader.at
    method, cover = divmod(reader.u8(), 4)
    need(method in METHODS, "method-unknown", start)
    first, *others = still
    need(cover in (0, 2) or (cover == 1 and others), "section-cover", start)
    named = 2 ** len(others) - 1 if cover == 1 else 0  # bit k: the k-th other open tensor
    if cover == 2:
        at, named = reader.at, int.from_bytes(reader.bytes((len(others) + 7) // 8), "little")
        need(named < 2 ** len(others), "padding", reader.at - 1)
        need(0 < named < 2 ** len(others) - 1, "section-cover", at)
    members = [first] + [other for k, other in enumerate(others) if named >> k & 1]
    still[:] = [other for k, other in enumerate(others) if not named >> k & 1]
    shapes = [tensors[k][1] for k in members]

    content = reader
    if framed:
        length = reader.varint(0, 8 * count_of(shapes) + 65536)
        # The content is looked at only after its checksum has been compared.
        content = Reader(reader.data, reader.at, reader.at + length)
        reader.bytes(length)
        check_crc(reader.data, start, reader)
        if architecture == 0:
            need(4 * count_of(shapes) <= RATIO * (reader.at - start), "limit-ratio", start)
    elif method in REST:
        need(not still, "levels-last", start)  # 5.4, 5.7
    chosen, row = METHODS[method](content, shapes)
    need(not framed or content.at == content.end, "leftover", content.at)

    at = 0
    for k, shape in zip(members, shapes):
        numbers[k] = row[at : at + 4 * math.prod(shape)]
        at += len(numbers[k])
    return {"method": method, "members": members, "shapes": shapes, "chosen": chosen}


# == 5 Methods =======================================================================================================
# Each takes the shapes of the section's tensors, and gives what the file chose and the row of numbers. Numbers stay the
# four bytes that they are: nothing here could change a NaN or a zero.
REST = {4, 7}  # tags of what has no length: levels and legacy codes


def count_of(shapes):
    return sum(math.prod(shape) for shape in shapes)


def read_raw(reader, shapes):
    """5.1 float32 (tag 1)."""
    row = reader.bytes(4 * count_of(shapes))
    return row, row


def read_codebook(reader, shapes):
    """5.2 Codebook (tag 2)."""
    count = count_of(shapes)
    at, entries = reader.at, read_entries(reader, count)
    coder, indices = read_symbols(reader, count, len(entries))
    return (entries, coder, indices), look_up(entries, indices, count, at)


def read_sparse(reader, shapes):
    """5.3 Sparse codebook (tag 3)."""
    count = count_of(shapes)
    form, places = read_positions(reader, count)
    if not places:
        return (form, places, [], None, []), bytes(4 * count)
    at, entries = reader.at, read_entries(reader, len(places), zero_refused=True)
    coder, indices = read_symbols(reader, len(places), len(entries))
    named = look_up(entries, indices, len(places), at)
    return (form, places, entries, coder, indices), spread(named, places, count)


def read_sparse_raw(reader, shapes):
    """5.6 Sparse float32 (tag 6)."""
    form, places = read_positions(reader, count_of(shapes))
    at, numbers = reader.at, reader.bytes(4 * len(places))
    for i in range(0, len(numbers), 4):
        need(any(numbers[i : i + 4]), "sparse-zero", at + i)
    return (form, places, numbers), spread(numbers, places, count_of(shapes))


def spread(numbers, places, count):
    """Numbers at their places, and +0 elsewhere."""
    start = dict(zip(places, range(0, len(numbers), 4)))
    return b"".join(numbers[start[p] : start[p] + 4] if p in start else bytes(4) for p in range(count))


def look_up(entries, indices, count, at):
    """An alphabet of 1 has no indices written. Every entry is named at least once."""
    if len(entries) == 1:
        return entries[0] * count
    need(len(set(indices)) == len(entries), "codebook-unused", at)
    return b"".join([entries[k] for k in indices])


def read_levels(reader, shapes):
    """5.4 Levels (tag 4)."""
    at, scales = reader.at, reader.bytes(len(shapes))
    coder = LevelReader(reader)
    rows = coder.rows(shapes)
    for t, row in enumerate(rows):
        need(any(row) or scales[t] == 0, "levels-scale", at + t)
    return (scales, coder.said), float32_row(scale(k) * level for k, row in zip(scales, rows) for level in row)


def read_miracle(reader, shapes):
    """5.5 MIRACLE (tag 5)."""
    at, form = reader.at, reader.u8()
    bits = form % 32 + 4
    need(bits <= 20, "miracle-form", at)
    key = (reader.varint(0, 2**32 - 1), 0)

    at, live = reader.at, {}
    if form & 32:
        counted = [t for t, shape in enumerate(shapes) if len(shape) > 1][:-1]
        live = {t: reader.varint(1, shapes[t][-1]) for t in counted}
        need(any(live[t] < shapes[t][-1] for t in counted), "miracle-live", at)
    places = live_places(shapes, live)

    start, groups = reader.at, [2] * len(shapes)
    if form & 64:
        for t in range(len(shapes)):
            at, groups[t] = reader.at, reader.varint(2, 2 * len(places[t]) + 1)
            need(groups[t] != 3, "miracle-groups", at)
        need(groups != [2] * len(shapes), "miracle-groups", start)
    m, shares = zip(*(shared(len(of), group, key, t) for t, (of, group) in enumerate(zip(places, groups))))
    need(max(m) <= 2**21, "miracle-size", reader.at)
    blocks = reader.varint((sum(m) + 8190) // 8191, min(sum(m), 2**24 - 1))
    scales = reader.bytes(len(shapes))

    sizes = [(b + 1) * sum(m) // blocks - b * sum(m) // blocks for b in range(blocks)]
    if form & 128:
        reader.room(blocks)
        at, next_step = reader.at, reader.steps(13)
        sizes = [next_step(0, 1, 8191)[1] for _ in range(blocks)]
        reader.pad()
        need(sum(sizes) == sum(m), "miracle-sizes", at)
    reader.room(bits * blocks)
    indices = [reader.bits(bits) for _ in range(blocks)]
    reader.pad()

    values, numbers = scalar_values(key, m, scales, sizes, indices), []
    for t, shape in enumerate(shapes):
        start = len(numbers)
        numbers += [0.0] * math.prod(shape)
        for place, (s, sign) in zip(places[t], shares[t]):
            numbers[start + place] = sign * values[t][s]
    return (form, key[0], live, groups, scales, sizes, indices), float32_row(numbers)


def live_places(shapes, live):
    """Of each tensor the places of its live weights. `live`: counts by tensor, of those that have one."""
    places, before, live_before = [], None, None  # the two are of the tensor before that was no bias
    for t, (kind, height, width, inputs, outputs) in enumerate(grids_of(shapes)):
        if kind == "bias":
            live_inputs, live_outputs = 1, live_before if before == outputs else outputs
        else:
            live_inputs, live_outputs = live_before if before == inputs else inputs, live.get(t, outputs)
            before, live_before = outputs, live_outputs
        spots = itertools.product(range(height * width), range(live_inputs), range(live_outputs))
        places.append([(yx * inputs + i) * outputs + o for yx, i, o in spots])
    return places


def shared(count, group, key, t):
    """m, and for each of `count` live weights of tensor t the scalar s that it shares, and its sign."""
    g, hashed = divmod(group, 2)
    if hashed:
        m = (count + g - 1) // g
        words = (word(key, 8, t, i) for i in range(count))
        return m, ((w * m >> 32, -1 if w % 2 == 1 else 1) for w in words)
    q = count // g
    return q + count % g, ((i // g if i < q * g else q + i - q * g, 1) for i in range(count))


def scalar_values(key, m, scales, sizes, indices):
    """The values of the scalars of each tensor, not rounded yet."""
    orders = [permutation(n, key, 7, t) for t, n in enumerate(m)]
    common = math.lcm(*m)  # (2 * taken + 1) / m as whole numbers, for all tensors
    row = sorted(((2 * taken + 1) * (common // n), t, taken) for t, n in enumerate(m) for taken in range(n))
    values, place = [[0.0] * n for n in m], 0
    for b, (n, k) in enumerate(zip(sizes, indices)):
        for j, (_, t, taken) in enumerate(row[place : place + n]):
            z = normals()[word(key, 6, b, k * n + j) >> 20]
            values[t][orders[t][taken]] = scale(scales[t]) * z
        place += n
    return values


# == 6 Numbers =======================================================================================================
def read_entries(reader, most, zero_refused=False):
    """6.1 Entries of a codebook, four bytes each."""
    entries, before = [], -math.inf
    for _ in range(reader.varint(1, min(most, 4096))):
        at = reader.at
        entries.append(reader.bytes(4))
        value = struct.unpack("<f", entries[-1])[0]
        need(math.isfinite(value) and entries[-1] != b"\0\0\0\x80", "codebook-number", at)
        need(value != 0 or not zero_refused, "codebook-zero", at)
        need(value > before, "codebook-order", at)
        before = value
    return entries


# 6.2: the float32 numbers nearest to 2^(i / 8).
OCTAVE = struct.unpack(">8f", bytes.fromhex("3F800000 3F8B95C2 3F9837F0 3FA5FED7 3FB504F3 3FC5672A 3FD744FD 3FEAC0C7"))


def scale(k):
    return OCTAVE[k % 8] * 2.0 ** (k // 8 - 24)


def float32_row(numbers):
    """The nearest float32 to each number: products that are exact until here."""
    return b"".join(struct.pack("<f", number) for number in numbers)


def threefry(k0, k1, c0, c1):
    """6.3 Random numbers. Threefry-2x32 with 20 rounds."""
    s = [k0, k1, k0 ^ k1 ^ 0x1BD11BDA]
    x, y = (c0 + s[0]) % 2**32, (c1 + s[1]) % 2**32
    for r in range(20):
        x = (x + y) % 2**32
        turn = [13, 15, 26, 6, 17, 29, 16, 24][r % 8]
        y = (y << turn) % 2**32 ^ y >> (32 - turn) ^ x
        if r % 4 == 3:
            n = (r + 1) // 4
            x, y = (x + s[n % 3]) % 2**32, (y + s[(n + 1) % 3] + n) % 2**32
    return x, y


def word(key, stream, block, element):
    return threefry(*key, stream * 2**24 + block, element // 2)[element % 2]


@functools.lru_cache
def normals():
    """The table of 4,096 quantiles."""
    normal, z = [0.0] * 4096, 0.0
    for i in range(2048, 4096):
        p = (i + 0.5) / 4096 - 0.5
        for _ in range(6):
            y, s, t, e, u = z * z, 0.0, z, 0.0, 1.0
            for k in range(1, 41):
                s, t = s + t, t * y / (2 * k + 1)
                e, u = e + u, u * y / (2 * k)
            z = (z - s) + (p * 2.5066282746310007) * e
        normal[i] = struct.unpack("<f", struct.pack("<f", z))[0]
        normal[4095 - i] = -normal[i]
    return normal


def permutation(n, key, stream, block):
    order = list(range(n))
    for i in range(n - 1, 0, -1):
        j = word(key, stream, block, i) * (i + 1) >> 32
        order[i], order[j] = order[j], order[i]
    return order


# == 7 Symbols =======================================================================================================
def read_symbols(reader, count, alphabet):
    """The coder with its tables, and the symbols."""
    if count == 0 or alphabet == 1:
        return None, []
    at, tag = reader.at, reader.u8()
    need(tag in CODERS, "coder-unknown", at)
    table, symbols = CODERS[tag](reader, count, alphabet)
    return (tag, table), symbols


def read_fixed(reader, count, alphabet):
    """7.1 Fixed width."""
    n = (alphabet - 1).bit_length()
    reader.room(n * count)
    symbols = []
    for _ in range(count):
        at, symbol = reader.at, reader.bits(n)
        need(symbol < alphabet, "fixed-range", at)
        symbols.append(symbol)
    reader.pad()
    return None, symbols


def read_huffman(reader, count, alphabet):
    """7.2 Huffman. The table is a dictionary of lengths by symbol."""
    lengths, next_step, symbol, filled = {}, reader.steps(4), 0, 0
    while filled < 2**15:
        at = reader.at
        need(symbol < alphabet, "huffman-incomplete", at)
        absent, value = next_step(alphabet - symbol - 1, 0 if filled == 0 else 1, 15)
        symbol += absent
        lengths[symbol] = value
        if value == 0:
            reader.pad()
            return lengths, [symbol] * count
        filled += 2 ** (15 - value)
        need(filled <= 2**15, "huffman-oversubscribed", at)
        symbol += 1

    codes = {code: symbol for symbol, code in canonical_codes(lengths).items()}
    symbols = []
    for _ in range(count):
        length, code = 0, 0
        while (length, code) not in codes:
            length, code = length + 1, 2 * code + reader.bits(1)
        symbols.append(codes[length, code])
    reader.pad()
    return lengths, symbols


def canonical_codes(lengths):
    """(length, code) by symbol: in order of length, then of symbol, the first code 0."""
    codes, code, before = {}, -1, 0
    for length, symbol in sorted((length, symbol) for symbol, length in lengths.items()):
        code = (code + 1) * 2 ** (length - before)
        codes[symbol] = (length, code)
        before = length
    return codes


def read_rans(reader, count, alphabet):
    """7.3 rANS. The table is (form, n, frequencies by symbol)."""
    at, form, n = reader.at, reader.bits(1), 12 + reader.bits(3)
    need(n <= 16, "rans-bits", at)
    next_step, symbol, left = reader.steps(5), 0, 2**n
    frequency, start, owner = {}, {}, []  # by symbol, by symbol, by slot
    while left > 0:
        at = reader.at
        need(symbol < alphabet, "rans-sum", at)
        absent, w = next_step(alphabet - symbol - 1, 1, n + 1)
        f = 2 ** (w - 1) + reader.bits(w - 1)
        need(f <= left, "rans-sum", at)
        symbol += absent
        frequency[symbol], start[symbol] = f, len(owner)
        owner += [symbol] * f
        left, symbol = left - f, symbol + 1
    reader.pad()

    many, least, most = (4, 2**16, 2**32 - 1) if form == 1 else (1, 2**23, 2**31 - 1)
    states = []
    for _ in range(many):
        at, x = reader.at, reader.u32()
        need(least <= x <= most, "rans-state", at)
        states.append(x)
    symbols = []
    for i in range(count):
        high, m = divmod(states[i % many], 2**n)
        s = owner[m]
        x = frequency[s] * high + m - start[s]
        while x < least:
            x = 2**16 * x + reader.u16() if form == 1 else 256 * x + reader.u8()
        states[i % many] = x
        symbols.append(s)
    need(states == [least] * many, "rans-end", reader.at)
    return (form, n, frequency), symbols


class RangeReader:
    """7.4 Range coder: bits, with the probability of a 0 in 1/65536 for each, from the rest of what contains them.
    `said` keeps both, for the way back."""

    def __init__(self, reader):
        self.reader, self.start, self.said = reader, reader.at, []
        self.low, self.range, self.code = 0, 2**32 - 1, 0
        for _ in range(4):
            self.code = 256 * self.code + self.next_byte()
        need(self.code != 2**32 - 1, "range-start", self.start)

    def next_byte(self):
        """Reading past the last byte gives zeros."""
        return self.reader.u8() if self.reader.at < self.reader.end else 0

    def bit(self, zero):
        bound = self.range // 65536 * zero
        bit = int(self.code >= bound)
        if bit == 0:
            self.range = bound
        else:
            self.code, self.range, self.low = self.code - bound, self.range - bound, (self.low + bound) % 2**32
        while self.range < 2**24:
            self.code = 256 * self.code + self.next_byte()
            self.low, self.range = 256 * self.low % 2**32, 256 * self.range
        self.said.append((bit, zero))
        return bit

    def even(self, n):
        """An integer of n bits, each of which is as likely 0 as 1."""
        return sum(self.bit(32768) << k for k in reversed(range(n)))

    def adaptive(self, context):
        """A context is its two probabilities, [fast, slow]."""
        fast, slow = context
        bit = self.bit((fast + slow) // 2)
        if bit == 0:
            context[:] = fast + (65536 - fast) // 16, slow + (65536 - slow) // 128
        else:
            context[:] = fast - fast // 16, slow - slow // 128
        return bit

    def finish(self):
        last = self.reader.end - 1
        need(self.reader.at > last, "range-leftover", self.reader.at)
        need(last < self.start or self.reader.data[last] != 0, "range-zero", last)
        need(self.low + self.code == shortest(self.low, self.range), "range-end", self.reader.end)


def shortest(low, size):
    """Of the numbers from `low` on that would be read as the same bits, the one with most zero bits at its end."""
    unit = 2**32
    while -(-low // unit) * unit >= low + size:
        unit //= 2
    return -(-low // unit) * unit


def logistic_tables():
    """7.6 Mixing: `squash` from -2048 to 2048 and `stretch` from 0 to 4095."""
    squash, stretch, power, x = {}, [], 1.0, -2048
    for k in range(2049):
        squash[k] = math.floor(65536 * power / (1 + power) + 0.5)
        squash[-k] = 65536 - squash[k]
        power = power * 1.0039138893383475
    for j in range(4096):
        while x < 2048 and squash[x + 1] <= 16 * j + 8:
            x += 1
        stretch.append(x)
    return squash, stretch


SQUASH, STRETCH = logistic_tables()

# 7.7 Levels. The rate of a mixer, then prior and limit of its base and of its further contexts.
SPEEDS = {"zero": (64, (7, 464), (7, 50)), "sign": (103, (9, 216), (6, 500)), "magnitude": (64, (26, 500), (10, 23))}
WEIGHTS = {
    "zero": dict(spatial=(62300, 23500, 16100, 17900, 7100, 16400, 9800), dense=(62200, 12000, 6000), bias=(87200,)),
    "sign": dict(spatial=(53000, 47600, 35500, 19700, -13100), dense=(59500,), bias=(89500,)),
    "magnitude": dict(spatial=(65500, 15100, 11900, 25100), dense=(58400, 6000, -7100), bias=(90300,)),
}
# What base contexts begin with.
ZERO = {"spatial": 45000, "dense": 19800, "bias": 30800, "not fed": 64000}
MAGNITUDE = {
    "spatial": (36000, 46000, 48200, 52000, 54000, 56000),
    "dense": (33200, 38200, 48800, 51000, 53800, 56000),
    "bias": (27000, 24000, 19800, 21800, 22500, 28200),
}


def grids_of(shapes):
    """Of each tensor: kind, height, width, inputs, outputs."""
    grids, before = [], 1
    for *front, outputs in shapes:
        if front:
            n = math.prod(front)
            s = math.isqrt(n // before)
            if len(front) != 3:
                front = (s, s, before) if s * s * before == n else (1, 1, n)
            grids.append(("spatial" if front[0] * front[1] > 1 else "dense", *front, outputs))
            before = outputs
        else:
            grids.append(("bias", 1, 1, 1, outputs))
    return grids


def sgn(n):
    return (n > 0) - (n < 0)


class LevelReader(RangeReader):
    """Nine mixers and all contexts live through the whole row of tensors."""

    def __init__(self, reader):
        super().__init__(reader)
        self.weights = {(kind, bit): list(start) for bit, of in WEIGHTS.items() for kind, start in of.items()}
        self.contexts = {}  # [zero, seen] by mixer, row of the table and what that row says
        self.steps = [[32768, 32768] for _ in range(13)]

    def mix(self, kind, bit, first, keys):
        """7.6. `keys`: what the rows of the table say, false where one does not apply. A new base begins at `first`."""
        weights, (rate, base, further) = self.weights[kind, bit], SPEEDS[bit]
        contexts, inputs = [], []
        for k, key in enumerate(keys):
            c = key and self.contexts.setdefault((kind, bit, k, key), [32768 if k else first, 0])
            contexts.append(c)
            inputs.append(STRETCH[c[0] // 16] - (inputs[0] if k else 0) if c and (c[1] or k == 0) else 0)
        logit = sum(weight // 16 * x for weight, x in zip(weights, inputs)) // 4096
        p = SQUASH[max(-2048, min(2048, logit))]
        b = self.bit(p)
        target = 65536 if b == 0 else 0
        error = (target - p) * rate // 256
        before = contexts[0][0]
        for k, c in enumerate(contexts):
            weights[k] = max(-(2**18), min(2**18, weights[k] + (inputs[k] * error + 8192) // 16384))
            if c:
                (zero, seen), (prior, limit) = c, further if k else base
                q = zero if seen else before
                q = q + (target - q) * (2**15 // (2 * seen + prior)) // 16384
                c[:] = max(16, min(65520, q)), min(seen + 1, limit)
        return b

    def level(self, kind, t, place, levels, many, fed):
        """The level at (y, x, i, o) of tensor t. `many`: it has more than one input."""
        y, x, i, o = place
        zero, sign = [(t, fed)], [(t,)]
        if kind != "bias":
            zero += [(t, o), many and (t, i)]
        if kind == "spatial":
            ways = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0))
            L, U, UL, UR, LL, UU = (levels.get((y + down, x + right, i, o), 0) for down, right in ways)
            around = 2 * abs(L) + 2 * abs(U) + abs(UL) + abs(UR) + abs(LL) + abs(UU)
            W = sum(around >= least for least in (1, 2, 4, 6, 9, 14))
            zero += [(W,), tuple(min(abs(n), 2) for n in (L, U, UL, UR)), (t, y, x, i), many and (t, i, o)]
            sign += [(sgn(sgn(L) + sgn(U)), sgn(sgn(UL) + sgn(UR))), (sgn(L), sgn(U), sgn(LL), sgn(UU))]
            sign += [many and (t, i), many and (t, i, o)]
        if self.mix(kind, "zero", ZERO[kind if fed else "not fed"], zero) == 0:
            return 0
        s = 1 if self.mix(kind, "sign", 32768, sign) == 0 else -1
        for m in range(1, 15):
            magnitude = [(t, min(m, 6))]
            if kind != "bias":
                magnitude += [(t, o, m > 1), many and (t, i, m > 1)]
            if kind == "spatial":
                magnitude += [(min(m, 3), min(abs(L), 3), min(abs(U), 3))]
            if self.mix(kind, "magnitude", MAGNITUDE[kind][min(m, 6) - 1], magnitude) == 0:
                return s * m
        n = 0
        while n < 13 and self.adaptive(self.steps[n]) == 1:
            n += 1
        return s * (14 + 2**n + self.even(n))

    def rows(self, shapes):
        """A row of levels per tensor."""
        rows, before, live_before = [], 1, [0]  # of the tensor before that was not a bias
        for t, (kind, *grid) in enumerate(grids_of(shapes)):
            inputs, outputs = grid[2:]
            live_outputs, live_inputs = list(range(outputs)), list(range(inputs))
            fed = set(live_before if kind == "bias" and before == outputs else live_outputs)
            if kind != "bias":
                expected = live_before if before == inputs else live_inputs
                live_outputs = self.live(outputs, live_outputs, 32768, 57344)
                live_inputs = self.live(inputs, expected, 57344, 32768) if live_outputs else []
                before, live_before = outputs, live_outputs
            levels = {}  # by (y, x, i, o); 0 elsewhere
            for place in itertools.product(range(grid[0]), range(grid[1]), live_inputs, live_outputs):
                levels[place] = self.level(kind, t, place, levels, inputs > 1, place[3] in fed)
            if kind != "bias":
                used = [place for place, level in levels.items() if level != 0]
                need(outputs == 1 or {o for *_, o in used} == set(live_outputs), "levels-live", self.start)
                need(inputs == 1 or {i for *_, i, _ in used} == set(live_inputs), "levels-live", self.start)
            rows.append([levels.get(place, 0) for place in itertools.product(*map(range, grid))])
        self.finish()
        return rows

    def live(self, count, expected, as_expected, as_first):
        """The live units, rising."""
        if count == 1:
            return [0]
        if self.bit(as_expected) == 0:
            return expected
        end = self.even(count.bit_length())
        need(end <= count, "levels-live", self.start)
        live = list(range(end))
        if end > 1 and self.bit(as_first) == 1:
            contexts, flags = [[32768, 32768], [32768, 32768]], [1]
            for _ in range(end - 1):
                flags.append(self.adaptive(contexts[flags[-1]]))
            live = [unit for unit, flag in enumerate([*flags[1:], 1]) if flag == 1]
            need(len(live) < end, "levels-live", self.start)
        need(live != expected, "levels-live", self.start)
        return live


# == 8 Metadata ======================================================================================================
def read_metadata(reader):
    """Lines of (key, value). A reader may skip them; one that checks everything does not."""
    length = reader.varint(1, 65536)
    reader.bytes(length)
    inner, lines = Reader(reader.data, reader.at - length, reader.at), []
    for _ in range(inner.varint(1, length)):
        at, key = inner.at, inner.text(64)
        need("a" <= key[0] <= "z" and set(key) <= KEY_CHARACTERS, "metadata-key", at)
        need(not lines or key > lines[-1][0], "metadata-order", at)
        lines.append((key, inner.text(65536)))
    need(inner.at == inner.end, "leftover", inner.at)
    return lines


# == 9 Sparse positions ==============================================================================================
BITMAP, RELATIVE, EXP_GOLOMB, HUFFMAN = 0, 1, 2, 3
FORMS = {BITMAP: range(1), RELATIVE: range(1, 16), EXP_GOLOMB: range(16), HUFFMAN: range(1, 12)}


def read_positions(reader, length):
    """The form with what it announced, and the places that are taken, rising."""
    many_at, many = reader.at, reader.varint(0, length)
    if many in (0, length):
        return None, range(many)
    at, (kind, parameter) = reader.at, divmod(reader.u8(), 16)
    need(kind in FORMS and parameter in FORMS[kind], "sparse-form", at)
    if kind == BITMAP:
        bitmap = reader.bytes((length + 7) // 8)
        taken = [p for p in range(8 * len(bitmap)) if bitmap[p // 8] >> (7 - p % 8) & 1]
        need(not taken or taken[-1] < length, "padding", reader.at - 1)
        need(len(taken) == many, "sparse-count", many_at)
        return (kind, parameter, None), taken

    lengths, filler = None, None if kind == EXP_GOLOMB else 2**parameter
    if kind == HUFFMAN:
        fillers_at, fillers = reader.at, reader.varint(0, length // filler)
        start = reader.at
        lengths, entries = read_huffman(reader, many + fillers, filler + 1)
        entries = [(entry, start) for entry in entries]
    else:
        entries = read_gaps(reader, kind, parameter, many, length)
    last, taken = -1, []
    for entry, at in entries:
        last += entry if entry == filler else entry + 1
        need(last < length, "sparse-position", at)
        if entry != filler:
            taken.append(last)
    if kind == HUFFMAN:
        need(len(taken) == many, "sparse-count", fillers_at)
        need(entries[-1][0] != filler, "sparse-filler", start)
    return (kind, parameter, lengths), taken


def read_gaps(reader, kind, parameter, many, length):
    """Entries until there are `many` positions, each with the offset where it begins."""
    while many > 0:
        at = reader.at
        if kind == EXP_GOLOMB:
            entry = reader.exp_golomb(parameter, length)
        else:
            entry = reader.bits(parameter)
            entry += entry == 2**parameter - 1 and reader.bits(1) == 0
        many -= kind == EXP_GOLOMB or entry < 2**parameter
        yield entry, at
    reader.pad()


# == 12 Known architectures ==========================================================================================
# Input 28 x 28 x 1, scale 1/255, offset 0, classes "0" to "9". Limits (10) stand where they are checked.
def known(name, *layers):
    shape, counted = [28, 28, 1], {CONVOLUTION: 0, DENSE: 0}
    graph = {"name": name, "input": shape, "pixels": USUAL_PIXELS, "classes": list("0123456789"), "layers": []}
    for kind, flags, *sizes in layers:
        layer = {"kind": kind, "flags": flags, "sizes": sizes}
        if kind == DROPOUT:
            layer["sizes"], layer["keep"] = [], sizes[0]
        if kind in counted:
            counted[kind] += 1
            layer["name"] = usual_name(kind, counted)
        shape = layer_shapes(layer, shape, None)
        graph["layers"].append(layer)
    return graph


POOL, FLAT, LAST = (POOLING, 0, 2, 2), (FLATTEN, 0), (DENSE, BIAS, 10)
CONV1, CONV2 = [(CONVOLUTION, RELU + BIAS, filters, 5, 5, 1, 1) for filters in (20, 50)]
SAME1, SAME2 = [(CONVOLUTION, RELU + BIAS + SAME, filters, 5, 5, 1, 1) for filters in (32, 64)]
ARCHITECTURES = {
    1: known("lenet5", CONV1, POOL, CONV2, POOL, FLAT, (DENSE, RELU + BIAS, 500), LAST),
    2: known("lenet300", FLAT, (DENSE, RELU + BIAS, 300), (DENSE, RELU + BIAS, 100), LAST),
    3: known("softmax", FLAT, LAST),
    4: known("linear", FLAT, (DENSE, 0, 10)),
    5: known("cnn1024", SAME1, POOL, SAME2, POOL, FLAT, (DENSE, RELU + BIAS, 1024), (DROPOUT, 0, 0.75), LAST),
}

from legacy import read_legacy  # 5.7, 6.4 and 7.8: here, as it takes parts of the above

# The tags of sections 5 and 7.
METHODS = {1: read_raw, 2: read_codebook, 3: read_sparse, 4: read_levels, 5: read_miracle, 6: read_sparse_raw}
METHODS[7] = read_legacy
CODERS = {15: read_fixed, 16: read_huffman, 17: read_rans}
