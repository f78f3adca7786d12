"""Protocol buffers, as far as exports write them: messages as bytes."""


def message(fields):
    """The bytes of a message from {number of a field: an integer >= 0, text, bytes, or a list of these}.

    Texts become UTF-8; what it cannot hold, half of a pair of surrogates, becomes an escape.

    >>> message({1: 300, 2: "ab", 3: [message({1: 1})]})
    b'\\x08\\xac\\x02\\x12\\x02ab\\x1a\\x02\\x08\\x01'
    """
    parts: list[bytes] = []
    for number, values in fields.items():
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, int):
                parts += _varint(number << 3), _varint(value)
            else:
                data = value.encode("utf-8", "backslashreplace") if isinstance(value, str) else value
                parts += _varint(number << 3 | 2), _varint(len(data)), data
    return b"".join(parts)


def _varint(number):
    """Seven bits a byte, the lowest first; the eighth bit says that more follow."""
    low = []
    while number > 127:
        low.append(number & 127 | 128)
        number >>= 7
    return bytes([*low, number])
