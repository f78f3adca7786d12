"""Plan the memory of a program: one block, in which values that are never needed at the same time share their place."""

ALIGNMENT = 128


class Arena:
    """A plan of a block of memory: size is what it takes so far."""

    def __init__(self):
        self.size, self.free = 0, []   # free: [(start, end)] in order of start

    def take(self, nbytes):
        """The start of a place of this many bytes: the smallest free one that is large enough."""
        nbytes = -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT
        fitting = [(end - start, start, end) for start, end in self.free if end - start >= nbytes]
        if not fitting:
            if self.free and self.free[-1][1] == self.size:   # the last place grows
                start = self.free.pop()[0]
                self.size = start + nbytes
                return start
            self.size += nbytes
            return self.size - nbytes
        _, start, end = min(fitting)
        self.free.remove((start, end))
        if end - start > nbytes:
            self._insert(start + nbytes, end)
        return start

    def give(self, start, nbytes):
        """The place is free again."""
        end = start + -(-max(nbytes, 1) // ALIGNMENT) * ALIGNMENT
        for place in list(self.free):
            if place[1] == start:
                start = place[0]
                self.free.remove(place)
            elif place[0] == end:
                end = place[1]
                self.free.remove(place)
        self._insert(start, end)

    def _insert(self, start, end):
        self.free.append((start, end))
        self.free.sort()


def plan(steps, kept=()):
    """({key: start}, bytes) of what steps make. steps: [([(key, nbytes) that it makes], [keys that it reads])].

    Values of kept keys keep their place to the end.
    """
    last = {key: i for i, (made, read) in enumerate(steps) for key in (*(key for key, _ in made), *read)}
    last.update(dict.fromkeys(kept, len(steps)))
    ending: dict = {}
    for key, i in last.items():
        ending.setdefault(i, []).append(key)
    arena, places, sizes = Arena(), {}, {}
    for i, (made, _) in enumerate(steps):
        for key, nbytes in made:
            places[key], sizes[key] = arena.take(nbytes), nbytes
        for key in ending.get(i, ()):
            if key in places:
                arena.give(places[key], sizes[key])
    return places, arena.size
