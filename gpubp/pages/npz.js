// Writes NumPy's .npz files: a zip of .npy files, stored without compression.

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function joined(parts) {
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  parts.reduce((start, part) => { all.set(part, start); return start + part.length; }, 0);
  return all;
}

// Integers, little-endian, from [number, bytes] pairs
const integers = (...pairs) => Uint8Array.from(pairs.flatMap(([number, count]) =>
  Array.from({ length: count }, (_, place) => Math.floor(number / 256 ** place) % 256)));

const ascii = (text) => new TextEncoder().encode(text);

// A .npy file of 64-bit floats of a shape, or of a text if shape is null
function npy(values, shape) {
  const texts = shape === null ? Array.from(values, (character) => character.codePointAt(0)) : [];
  const words = new DataView(new ArrayBuffer(shape === null ? 4 * texts.length : 8 * values.length));
  if (shape === null) texts.forEach((code, i) => words.setUint32(4 * i, code, true));
  else values.forEach((value, i) => words.setFloat64(8 * i, value, true));
  const dtype = shape === null ? `<U${texts.length}` : "<f8", sizes = (shape || []).map((size) => `${size},`).join("");
  const head = `{'descr': '${dtype}', 'fortran_order': False, 'shape': (${sizes})}`;
  const padded = head.padEnd(Math.ceil((10 + head.length + 1) / 64) * 64 - 11) + "\n";
  return joined([Uint8Array.of(0x93), ascii("NUMPY"), integers([1, 1], [0, 1], [padded.length, 2]), ascii(padded),
         new Uint8Array(words.buffer)]);
}

// The bytes of a .npz file from {name: bytes of its .npy file}
function npz(members) {
  const files = [], entries = [];
  let start = 0;
  for (const [name, content] of Object.entries(members)) {
    const title = ascii(`${name}.npy`), size = content.length;
    // version 2.0, no flags, stored, midnight of 1 January 1980
    const facts = integers([20, 2], [0, 2], [0, 2], [0, 2], [33, 2], [crc32(content), 4], [size, 4], [size, 4],
               [title.length, 2], [0, 2]);
    const file = joined([ascii("PK\x03\x04"), facts, title, content]);
    entries.push(joined([ascii("PK\x01\x02"), integers([20, 2]), facts, integers([0, 6], [0, 4], [start, 4]), title]));
    files.push(file);
    start += file.length;
  }
  const directory = joined(entries), count = entries.length;
  return joined([...files, directory, ascii("PK\x05\x06"), integers(
    [0, 2], [0, 2], [count, 2], [count, 2], [directory.length, 4], [start, 4], [0, 2])]);
}
