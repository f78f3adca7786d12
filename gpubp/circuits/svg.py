"""The picture of a circuit: gates in columns by depth, on every line its value above and its gradient below."""


GREEN, RED = "#0a7a35", "#c62828"
LETTER = 7.83        # width of a letter of 13 pixels, in the widest of the usual fonts
RADIUS = 17          # of a gate
CURVE, MARGIN = 44, 14
GATE, LINE = 26, 9   # half of the height kept for a gate with its numbers, and for a line that passes by
SWEEPS = 4
SYMMETRIC = "+", "*"


def svg(parts):
    """The parts of a circuit, each after its sources, as the text of an SVG picture."""
    depths, columns = _columns(parts)
    heights, edges = _heights(depths, columns), _edges(parts, depths)
    top = min(min(column.values()) for column in heights) - GATE - MARGIN
    width, height = edges[-1][2] + MARGIN, max(max(column.values()) for column in heights) + GATE + MARGIN - top
    size = f'width="{width:.0f}" height="{height:.0f}"'
    ends = [(edges[depth][1], heights[depth][i]) for i, depth in enumerate(depths)]   # where each part's line begins
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 {top:.0f} {width:.0f} {height:.0f}" role="img" '
        f'font-family="monospace" font-size="13">',
        f"<title>The circuit of {escaped(parts[-1].line)}</title>", f'<rect y="{top:.0f}" {size} fill="#ffffff"/>',
        *_group('fill="none" stroke="#5b6472" stroke-width="1.3"', _lines(parts, depths, columns, heights, edges)),
        *_group('fill="#1c2330" text-anchor="middle"', [_gate(part, *end) for part, end in zip(parts, ends)]),
        *_group(f'fill="{GREEN}"', [_text(x + 7, y - 5, part.above) for part, (x, y) in zip(parts, ends)]),
        *_group(f'fill="{RED}"', [_text(x + 7, y + 14, part.gradient) for part, (x, y) in zip(parts, ends) if part.gradient]),
        "</svg>"])


def escaped(text):
    """The text for XML and HTML, in ASCII, so that it can be written to a file in any encoding."""
    from html import escape  # few programs need it

    return escape(text).encode("ascii", "xmlcharrefreplace").decode()


# ---- where everything stands


def _columns(parts):
    """The depth of each part, and for each depth {part: what it is joined to in the column before}.

    A part's line passes through the columns between it and its last gate: there it is joined to itself.
    """
    depths: list = []
    for part in parts:
        depths.append(1 + max((depths[source] for source in part.sources), default=-1))
    lasts = list(depths)
    for part, depth in zip(parts, depths):
        for source in part.sources:
            lasts[source] = max(lasts[source], depth - 1)
    columns: list = [{} for _ in range(max(depths) + 1)]
    for i, part in enumerate(parts):
        for depth in range(depths[i], lasts[i] + 1):
            columns[depth][i] = part.sources if depth == depths[i] else [i]
    return depths, columns


def _heights(depths, columns):
    """For each depth {part: its height}: each column in turn is ordered by, and moved to, what it is joined to."""
    halves = [{i: GATE if depths[i] == depth else LINE for i in column} for depth, column in enumerate(columns)]
    heights = [{i: 2.0 * GATE * k for k, i in enumerate(column)} for column in columns]
    after: list = [{i: [] for i in column} for column in columns]
    for depth, column in enumerate(columns[1:]):
        for i, sources in column.items():
            for source in sources:
                after[depth][source].append(i)
    forward = [(depth, depth - 1, columns) for depth in range(1, len(columns))]
    backward = [(depth, depth + 1, after) for depth in reversed(range(len(columns) - 1))]
    for depth, other, joined in (forward + backward) * SWEEPS + forward:
        wanted = {i: sum(heights[other][j] for j in joined[depth][i]) / len(joined[depth][i]) for i in heights[depth]}
        heights[depth] = _settled(wanted, halves[depth])
    return heights


def _settled(wanted, halves):
    """The heights nearest to the wanted ones, in their order, at which all have room: least squares, by pooling."""
    order = sorted(wanted, key=wanted.__getitem__)
    below, end = [], 0.0   # of each, how far it must stand below the first
    for i in order:
        below.append(end + halves[i])
        end += 2 * halves[i]
    pools: list = []   # [sum, number] of neighbours that stand as close as they may
    for i, room in zip(order, below):
        pools.append([wanted[i] - room, 1])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] >= pools[-1][0] * pools[-2][1]:
            total, number = pools.pop()
            pools[-1] = [pools[-1][0] + total, pools[-1][1] + number]
    means = (total / number for total, number in pools for _ in range(number))
    return {i: mean + room for i, mean, room in zip(order, means, below)}


def _edges(parts, depths):
    """For each column where it begins, where its gates end and its numbers begin, and where these end."""
    boxes, numbers = [0.0] * (max(depths) + 1), [0.0] * (max(depths) + 1)
    for part, depth in zip(parts, depths):
        boxes[depth] = max(boxes[depth], _width(part))
        numbers[depth] = max(numbers[depth], 14 + LETTER * max(len(part.above), len(part.gradient)))
    edges, left = [], float(MARGIN)
    for box, number in zip(boxes, numbers):
        edges.append((left, left + box, left + box + number))
        left = edges[-1][2] + CURVE
    return edges


def _width(part):
    letters = LETTER * len(part.label)
    return max(2 * RADIUS, letters + RADIUS) if part.sources else letters + 4


# ---- what is drawn


def _gate(part, right, y):
    width = _width(part)
    shape = f'rx="{RADIUS}" fill="#e8eef8" stroke="#4a6da7" stroke-width="1.3"' if part.sources else 'fill="none"'
    size = 18 if part.sources and len(part.label) < 3 else 13
    return (f'<g><title>{escaped(part.line)}</title><rect x="{right - width:.1f}" y="{y - RADIUS:.1f}" width="{width:.1f}" '
            f'height="{2 * RADIUS}" {shape}/><text x="{right - width / 2:.1f}" y="{y + size / 3:.1f}" font-size="{size}">'
            f"{escaped(part.label)}</text></g>")


def _text(x, y, text):
    return f'<text x="{x:.1f}" y="{y:.1f}">{escaped(text)}</text>'


def _group(attributes, elements):
    return [f"<g {attributes}>", *elements, "</g>"] if elements else []


def _lines(parts, depths, columns, heights, edges):
    """One path for each part, from the gate to all those that it goes into."""
    paths = [[f"M{edges[depth][1]:.1f} {heights[depth][i]:.1f}H{edges[depth][2]:.1f}"] for i, depth in enumerate(depths)]
    for depth, column in enumerate(columns[1:], 1):
        start, (left, middle, right) = edges[depth - 1][2], edges[depth]
        for i, sources in column.items():
            y, before = heights[depth][i], heights[depth - 1]
            arrives = depths[i] == depth
            end = middle - _width(parts[i]) + RADIUS if arrives else right   # under the gate, which covers it
            for source, port in zip(sources, _ports(parts[i], y, before) if arrives else [y]):
                paths[source].append(_curve(start, before[source], left, port) + f"H{end:.1f}")
    return [f'<path d="{"".join(path)}"/>' for path in paths]


def _curve(x, y, to_x, to_y):
    middle = (x + to_x) / 2
    return f"M{x:.1f} {y:.1f}C{middle:.1f} {y:.1f} {middle:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"


def _ports(part, y, heights):
    """Where the sources' lines arrive at a gate: from top to bottom in its order, or in theirs where it does not matter."""
    n = len(part.sources)
    ports = [y + (k - (n - 1) / 2) * min(14, 24 / n) for k in range(n)]
    if part.label not in SYMMETRIC:
        return ports
    order = sorted(range(n), key=lambda k: heights[part.sources[k]])
    return [ports[order.index(k)] for k in range(n)]
