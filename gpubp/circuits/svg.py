"""The picture of a circuit: primitives in columns by depth; on each line its value above and its gradient below."""

from itertools import accumulate

from ..pages.page import escaped

GREEN, RED = "#0a7a35", "#c62828"
LETTER = 7.83        # pixels: the width of a letter of 13 pixels, in the widest of the usual fonts
RADIUS = 17          # of a box
CURVE, MARGIN = 44, 14
BOX, PASSING = 26, 9   # half of the height of a box with its numbers, and of a line that passes by
SWEEPS = 4


def svg(nodes):
    """The nodes of a circuit, each after its sources, as the text of an SVG picture."""
    depths, columns = _columns(nodes)
    heights, edges = _heights(depths, columns), _edges(nodes, depths)
    top = min(min(column.values()) for column in heights) - BOX - MARGIN
    width, height = edges[-1][2] + MARGIN, max(max(column.values()) for column in heights) + BOX + MARGIN - top
    size = f'width="{width:.0f}" height="{height:.0f}"'
    ends = [(edges[depth][1], heights[depth][i]) for i, depth in enumerate(depths)]   # where each node's line begins
    groups = {
        'class="lines" fill="none" stroke="#5b6472" stroke-width="1.3"': _lines(nodes, depths, columns, heights, edges),
        'class="boxes" fill="#1c2330" text-anchor="middle"': [_box(node, *end) for node, end in zip(nodes, ends)],
        f'class="values" fill="{GREEN}"': [_text(x + 7, y - 5, node.above) for node, (x, y) in zip(nodes, ends)],
        f'class="gradients" fill="{RED}"': [
            _text(x + 7, y + 14, node.gradient) for node, (x, y) in zip(nodes, ends) if node.gradient]}
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 {top:.0f} {width:.0f} {height:.0f}" role="img" '
        f'font-family="monospace" font-size="13">',
        f"<title>The circuit of {escaped(nodes[-1].line)}</title>", f'<rect y="{top:.0f}" {size} fill="#ffffff"/>',
        *(line for style, elements in groups.items() if elements for line in (f"<g {style}>", *elements, "</g>")), "</svg>"])


def _columns(nodes):
    """The depth of each node, and for each depth {node: the nodes of the column before that it is connected to}.

    A node's line passes through the columns up to its last use; there it is connected to itself.
    """
    depths: list = []
    lasts: list = []
    for node in nodes:
        depths.append(1 + max((depths[source] for source in node.sources), default=-1))
        lasts.append(depths[-1])
        for source in node.sources:
            lasts[source] = max(lasts[source], depths[-1] - 1)
    columns: list = [{} for _ in range(max(depths) + 1)]
    for i, node in enumerate(nodes):
        for depth in range(depths[i], lasts[i] + 1):
            columns[depth][i] = node.sources if depth == depths[i] else [i]
    return depths, columns


def _heights(depths, columns):
    """For each depth {node: its height}: in several sweeps each column is ordered by, and moved to, its neighbours' mean."""
    halves = [{i: BOX if depths[i] == depth else PASSING for i in column} for depth, column in enumerate(columns)]
    heights = [{i: 2.0 * BOX * k for k, i in enumerate(column)} for column in columns]
    after: list = [{i: [] for i in column} for column in columns]
    for depth, column in enumerate(columns[1:]):
        for i, sources in column.items():
            for source in sources:
                after[depth][source].append(i)
    forward = [(depth, depth - 1, columns) for depth in range(1, len(columns))]
    backward = [(depth, depth + 1, after) for depth in reversed(range(len(columns) - 1))]
    for depth, other, connected in (forward + backward) * SWEEPS + forward:
        wanted = {i: sum(heights[other][j] for j in connected[depth][i]) / len(connected[depth][i]) for i in heights[depth]}
        heights[depth] = _spaced(wanted, halves[depth])
    return heights


def _spaced(wanted, halves):
    """The heights closest to the wanted ones, in their order, without overlaps: isotonic least squares by pooling."""
    order = sorted(wanted, key=wanted.__getitem__)
    ends = accumulate(2 * halves[i] for i in order)
    rooms = [end - halves[i] for i, end in zip(order, ends)]   # the least distance of each from the first
    pools: list = []   # [sum, number] of neighbours that touch
    for i, room in zip(order, rooms):
        pools.append([wanted[i] - room, 1])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] >= pools[-1][0] * pools[-2][1]:
            total, number = pools.pop()
            pools[-1] = [pools[-1][0] + total, pools[-1][1] + number]
    means = (total / number for total, number in pools for _ in range(number))
    return {i: mean + room for i, mean, room in zip(order, means, rooms)}


def _edges(nodes, depths):
    """For each column (left edge, right edge of its boxes, right edge of its numbers)."""
    boxes, numbers = [0.0] * (max(depths) + 1), [0.0] * (max(depths) + 1)
    for node, depth in zip(nodes, depths):
        boxes[depth] = max(boxes[depth], _width(node))
        numbers[depth] = max(numbers[depth], 14 + LETTER * max(len(node.above), len(node.gradient)))
    edges, left = [], float(MARGIN)
    for box, number in zip(boxes, numbers):
        edges.append((left, left + box, left + box + number))
        left = edges[-1][2] + CURVE
    return edges


def _width(node):
    letters = LETTER * len(node.label)
    return max(2 * RADIUS, letters + RADIUS) if node.sources else letters + 4


def _box(node, right, y):
    width = _width(node)
    shape = f'rx="{RADIUS}" fill="#e8eef8" stroke="#4a6da7" stroke-width="1.3"' if node.sources else 'fill="none"'
    size = 18 if node.sources and len(node.label) < 3 else 13
    return (f'<g><title>{escaped(node.line)}</title><rect x="{right - width:.1f}" y="{y - RADIUS:.1f}" width="{width:.1f}" '
            f'height="{2 * RADIUS}" {shape}/><text x="{right - width / 2:.1f}" y="{y + size / 3:.1f}" font-size="{size}">'
            f"{escaped(node.label)}</text></g>")


def _text(x, y, text):
    return f'<text x="{x:.1f}" y="{y:.1f}">{escaped(text)}</text>'


def _lines(nodes, depths, columns, heights, edges):
    """One path for each node, from its box to all boxes that it goes into."""
    paths = [[f"M{edges[depth][1]:.1f} {heights[depth][i]:.1f}H{edges[depth][2]:.1f}"] for i, depth in enumerate(depths)]
    for depth, column in enumerate(columns[1:], 1):
        start, (left, middle, right) = edges[depth - 1][2], edges[depth]
        turn = (start + left) / 2
        for i, sources in column.items():
            y, before = heights[depth][i], heights[depth - 1]
            arrives = depths[i] == depth
            end = middle - _width(nodes[i]) + RADIUS if arrives else right   # under the box, which covers it
            for source, port in zip(sources, _ports(nodes[i], y, before) if arrives else [y]):
                from_y = before[source]
                paths[source].append(f"M{start:.1f} {from_y:.1f}C{turn:.1f} {from_y:.1f} {turn:.1f} {port:.1f} {left:.1f} "
                                     f"{port:.1f}H{end:.1f}")
    return [f'<path d="{"".join(path)}"/>' for path in paths]


def _ports(node, y, heights):
    """The heights at which the sources' lines enter a box: in the primitive's order, or in theirs if it is symmetric."""
    n = len(node.sources)
    ports = [y + (k - (n - 1) / 2) * min(14, 24 / n) for k in range(n)]
    if node.label not in ("+", "*"):
        return ports
    order = sorted(range(n), key=lambda k: heights[node.sources[k]])
    return [ports[order.index(k)] for k in range(n)]
