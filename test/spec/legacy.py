"""The part of decoder.py that reads legacy codes: sections 5.7, 6.4 and 7.8 of docs/format.md, in that order."""

import itertools
import math
import struct

from decoder import RangeReader, count_of, float32_row, grids_of, need


# == 5.7 Legacy (tag 7) ==============================================================================================
def read_legacy(reader, shapes):
    at, form = reader.at, reader.u8()
    bits = form % 32 + 1
    need(bits <= 12 and form < 128, "legacy-form", at)
    drawn = form & 32 != 0

    sizes, at, groups = [math.prod(shape) for shape in shapes], reader.at, [1] * len(shapes)
    if form & 64:
        groups = [reader.varint(1, n) for n in sizes]
        need(groups != [1] * len(shapes), "legacy-groups", at)
    counts = [n // g + n % g for n, g in zip(sizes, groups)]
    total = sum(counts)  # N

    at, block = reader.at, reader.varint(1, total if drawn else 40)
    blocks = (total + block - 1) // block
    small = count_of(shapes) <= 2**24 and 2**bits * block <= 2**17 and 2**bits * blocks * block <= 2**27
    need(small, "legacy-size", at)
    at, raw = reader.at, reader.bytes(4 * len(shapes))
    scales = struct.unpack(f"<{len(shapes)}f", raw)
    for t, scale in enumerate(scales):
        need(2.0**-100 <= scale <= 2.0**100, "legacy-scale", at + 4 * t)

    owners = [t for t, m in enumerate(counts) for _ in range(m)]
    order, columns = order_and_candidates(drawn, total, blocks, block, bits)
    coder = IndexReader(reader, shapes, groups)
    values = [0.0] * total
    for b in range(blocks):
        held = [(j, order[b * block + j]) for j in range(block) if order[b * block + j] < total]
        index = coder.index([(columns[j], coder.cells[s]) for j, s in held])
        for j, s in held:
            values[s] = scales[owners[s]] * columns[j][index]
    coder.finish()

    numbers, start = [], 0
    for n, g, m in zip(sizes, groups, counts):
        numbers += [values[start + scalar_of(i, n, g)] for i in range(n)]
        start += m
    return (form, groups, block, raw, coder.said), float32_row(numbers)


def scalar_of(i, n, g):
    q = n // g
    return i // g if i < q * g else q + i - q * g


# == 6.4 Numbers of legacy codes =====================================================================================
class Twister:
    """Words, and what is made of them."""

    def __init__(self):
        self.state, self.used, self.kept = [53], 624, None
        for i in range(1, 624):
            last = self.state[i - 1]
            self.state.append((1812433253 * (last ^ last >> 30) + i) % 2**32)

    def word(self):
        if self.used == 624:
            state = self.state
            for i in range(624):
                y = (state[i] & 0x80000000) + (state[(i + 1) % 624] & 0x7FFFFFFF)
                state[i] = state[(i + 397) % 624] ^ y >> 1
                if y % 2 == 1:
                    state[i] ^= 0x9908B0DF
            self.used = 0
        y = self.state[self.used]
        self.used += 1
        y ^= y >> 11
        y ^= y << 7 & 0x9D2C5680
        y ^= y << 15 & 0xEFC60000
        return y ^ y >> 18

    def uniform(self):
        a = self.word() // 2**5
        b = self.word() // 2**6
        return (a * 2**26 + b) / 2**53

    def coordinate(self):
        """What a normal is made of. To pass over one, no logarithm is needed."""
        if self.kept:
            found, self.kept = self.kept, None
            return found
        s = 0.0
        while not (s < 1 and s != 0):
            x = 2 * self.uniform() - 1
            y = 2 * self.uniform() - 1
            s = x * x + y * y
        self.kept = (x, s)
        return y, s

    def normal(self):
        c, s = self.coordinate()
        return root(-2 * ln(s) / s) * c

    def pass_over(self, normals):
        for _ in range(normals):
            self.coordinate()

    def permutation(self, n):
        order = list(range(n))
        for i in range(n - 1, 0, -1):
            j = n
            while j > i:
                j = self.word() % 2 ** i.bit_length()
            order[i], order[j] = order[j], order[i]
        return order


def ln(x):
    m, k = math.frexp(x)  # from 1/2 to below 1
    m, k = 2 * m, k - 1
    if m > 1.4142135623730951:
        m, k = m / 2, k + 1
    f = m - 1
    s = f / (2 + f)
    z = s * s
    r = z * 2 / 21
    for j in range(19, 2, -2):
        r = z * (2 / j + r)
    h = f * f / 2
    return k * (2977044471 / 2**32) + (f - (h - (s * (h + r) + k * 1.9082149292705877e-10)))


def root(x):
    m, k = math.frexp(x)
    m, k = (2 * m, k - 1) if k % 2 == 1 else (4 * m, k - 2)
    y = 1.0
    for _ in range(6):
        y = (y + m / y) / 2
    return y * 2.0 ** (k // 2)


A = (3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946, 45921.95393154987,
     67265.7709270087, 33430.57558358813, 2509.0809287301227)  # fmt: skip
B = (1, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597,
     39307.89580009271, 28729.085735721943, 5226.495278852854)  # fmt: skip
C = (1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045, 1.2704582524523684,
     0.2417807251774506, 0.022723844989269184, 0.0007745450142783414)  # fmt: skip
D = (1, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008,
     0.015198666563616457, 0.0005475938084995345, 1.0507500716444169e-9)  # fmt: skip


def quantile(p):
    q = p - 0.5
    if abs(q) <= 0.425:
        r = 0.180625 - q * q
        return q * horner(A, r) / horner(B, r)
    r = root(-ln(min(p, 1 - p))) - 1.6
    z = horner(C, r) / horner(D, r)
    return -z if q < 0 else z


def horner(of, r):
    t = 0.0
    for coefficient in reversed(of):
        t = t * r + coefficient
    return t


# Columns from 1: the polynomial, then the starting numbers.
COLUMNS = """
3 1; 7 1 1; 11 1 3 7; 13 1 1 5; 19 1 3 1 1; 25 1 1 3 7; 37 1 3 3 9 9; 59 1 3 7 13 3; 47 1 1 5 11 27; 61 1 3 5 1 15;
55 1 1 7 3 29; 41 1 3 7 7 21; 67 1 1 1 9 23 37; 97 1 3 3 5 19 33; 91 1 1 3 13 11 7; 109 1 1 7 13 25 5;
103 1 3 5 11 7 11; 115 1 1 1 3 13 39; 131 1 3 1 15 17 63 13; 193 1 1 5 5 1 27 33; 137 1 3 3 3 25 17 115;
145 1 1 3 15 29 15 41; 143 1 3 1 7 3 23 79; 241 1 3 7 9 31 29 17; 157 1 1 5 13 11 3 29; 185 1 3 1 9 5 21 119;
167 1 1 3 1 23 13 75; 229 1 3 3 11 27 31 73; 171 1 1 7 7 19 25 105; 213 1 3 5 5 21 9 7; 191 1 1 1 15 5 49 59;
253 1 1 1 1 1 33 65; 203 1 3 5 15 17 19 21; 211 1 1 7 11 13 29 3; 239 1 3 7 5 7 11 113; 247 1 1 5 3 15 19 61;
285 1 3 1 1 9 27 89 7; 369 1 1 3 7 31 15 45 23; 299 1 3 3 9 9 25 107 39
"""
COLUMNS = [[int(number) for number in column.split()] for column in COLUMNS.split(";")]


def directions(column):
    if column == 0:
        return [2 ** (29 - j) for j in range(30)]
    polynomial, *m = COLUMNS[column - 1]
    degree = len(m)
    for j in range(degree, 30):
        m.append(m[j - degree])
        for k in range(1, degree + 1):
            if polynomial >> (degree - k) & 1:
                m[j] ^= m[j - k] * 2**k
    return [number * 2 ** (29 - j) for j, number in enumerate(m)]


def sobol(row, column_directions):
    gray, x = (row + 1) ^ (row + 1) // 2, 0
    for j, direction in enumerate(column_directions):
        if gray >> j & 1:
            x ^= direction
    return x


def float32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def order_and_candidates(drawn, total, blocks, block, bits):
    """The order, and for each j the candidates(k, j) by k."""
    twister, rows = Twister(), range(2**bits)
    if not drawn:
        twister.pass_over(total)
        order = twister.permutation(blocks * block)
        of = [directions(j) for j in range(block)]
        return order, [[float32(quantile(sobol(k, of[j]) / 2**30)) for k in rows] for j in range(block)]
    order = twister.permutation(blocks * block)
    twister.pass_over(blocks * block)
    table = [[float32(twister.normal()) for _ in range(block)] for _ in rows]
    return order, [[row[j] for row in table] for j in range(block)]


# == 7.8 Indices of legacy codes =====================================================================================
def likelihoods():
    power, table = 2.0**20, []
    for _ in range(3073):
        table.append(math.floor(power))
        power = power / 1.0039138893383475
    return table


LIKELIHOOD = likelihoods()
WIDE, OTHER = (256, (64, 51, 26, 9, 2)), (384, (64, 39, 9, 1))


class Tensor:
    def __init__(self, height, width):
        self.height, self.width, self.squares, self.seen = height, width, 60.0, 60
        self.prior, self.kernel = WIDE if height * width >= 256 else OTHER
        self.num, self.den = {}, {}  # by (class, y, x)


class IndexReader(RangeReader):
    """`cells`: of each scalar its tensor, its class and its y and x."""

    def __init__(self, reader, shapes, groups):
        super().__init__(reader)
        self.cells, before, before_group = [], None, 1
        for (kind, height, width, inputs, outputs), g in zip(grids_of(shapes), groups):
            tensor, n = Tensor(height, width), height * width * inputs * outputs
            c = before_group if before == inputs else 1
            for i in itertools.chain(range(0, n // g * g, g), range(n // g * g, n)):
                yx, io = divmod(i, inputs * outputs)
                i, o = divmod(io, outputs)
                kinds = {"spatial": (i, o), "dense": (i // c, o), "bias": None}
                self.cells.append((tensor, kinds[kind], *divmod(yx, width)))
            if kind != "bias":
                before, before_group = outputs, g

    def index(self, held):
        """`held`: of each number of the block that holds a scalar its candidates and its cell."""
        scores, means = [0.0] * len(held[0][0]), []
        for column, (tensor, *cell) in held:
            cell = tuple(cell)
            mean = tensor.num.get(cell, 0.0) / (tensor.prior + tensor.den.get(cell, 0))
            spread = tensor.squares / tensor.seen
            a, b = 0.5 - 0.5 / spread, mean / spread
            scores = [score + (a * z + b) * z for score, z in zip(scores, column)]
            means.append(mean)

        top = max(scores)
        sums = [[LIKELIHOOD[min(3072, math.floor((top - score) * 256))] for score in scores]]
        while len(sums[-1]) > 1:
            sums.append([a + b for a, b in zip(sums[-1][::2], sums[-1][1::2])])
        index = 0
        for halves in reversed(sums[:-1]):
            lower, upper = halves[2 * index : 2 * index + 2]
            index = 2 * index + self.bit(min(max(65536 * lower // (lower + upper), 1), 65535))

        for mean, (column, (tensor, kind, y, x)) in zip(means, held):
            z = column[index]
            tensor.squares += (z - mean) * (z - mean)
            tensor.seen += 1
            reach, kernel = len(tensor.kernel) - 1, tensor.kernel
            for yy in range(max(0, y - reach), min(tensor.height, y + reach + 1)):
                for xx in range(max(0, x - reach), min(tensor.width, x + reach + 1)):
                    w = (kernel[abs(yy - y)] * kernel[abs(xx - x)] + 32) // 64
                    cell = (kind, yy, xx)
                    tensor.num[cell] = tensor.num.get(cell, 0.0) + w * z
                    tensor.den[cell] = tensor.den.get(cell, 0) + w
        return index
