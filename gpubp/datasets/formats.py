"""Read a file once, decompress it, and determine its format from its content; other formats are refused with the remedy."""

import io
import re
from difflib import get_close_matches
from importlib import import_module

from ..archives import Archive, allowed, damage, expanded, require_allowed
from ..maths.validation import listed

KNOWN = "a table (.csv), arrays (.npz) or images (idx)"
NESTED = 4   # compressed files within each other, such as .csv.gz in a .zip
FREE_TEXT, TEXT_TIMES = 1 << 22, 50   # bytes of a table, and times its compressed size, since its numbers take more than its text
ZIP = b"PK\3\4", b"PK\5\6"
COMPRESSED = {rb"\x1f\x8b": "gzip", rb"BZh[1-9]1AY&SY": "bz2", rb"\xfd7zXZ\0": "lzma"}
CSV = "save it as .csv, for example with pandas: pandas.read_{}({!r}).to_csv('data.csv', index=False)"
NPZ = "load it with {}, and save its arrays: numpy.savez('data.npz', x=..., y=...)"
FOREIGN = {   # {how other formats begin: (what the file is, the remedy)}
    rb"\xd0\xcf\x11\xe0|PK\x03\x04.{26}(\[Content_Types\]|_rels/|docProps/|xl/|mimetype)": (
        "a spreadsheet", "save it as .csv in your spreadsheet program"),
    rb"PK\x03\x04.{26}[^\0]*data\.pkl": ("a pickle of PyTorch", NPZ.format("torch.load")),
    rb"PAR1[^ -~\s]": ("a Parquet file", CSV.format("parquet", "{}")),
    rb"(ARROW1|FEA1)\0": ("a Feather file", CSV.format("feather", "{}")),
    rb"\x93NUMPY": ("a single array (.npy)", NPZ.format("numpy.load")),
    rb"\x80[\2-\5]|.{0,40}cnumpy[.\n]": ("a pickle, which may run any code when it is loaded", NPZ.format("pickle.load")),
    rb"MATLAB 5\.0": ("a MATLAB file (.mat)", NPZ.format("scipy.io.loadmat")),
    rb"\x89HDF\r\n": ("an HDF5 file (.h5, .mat)", NPZ.format("h5py")),
    rb"RD[AX][23]\n|[XAB]\n\0\0\0": ("R's data", "save it as .csv in R: write.csv(x, 'data.csv', row.names = FALSE)"),
    rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|II\*\0|MM\0\*|RIFF.{4}WEBP|BM.{4}\0{4}": (
        "one picture", NPZ.format("Pillow, like all others")),
    rb"\x28\xb5\x2f\xfd": ("compressed by Zstandard", "decompress it with unzstd"),
    rb"7z\xbc\xaf|Rar!\x1a|.{257}ustar": ("an archive", "unpack it and give one of its files"),
    rb"version https://git-lfs": ("a pointer of Git LFS, not the file itself", "run git lfs pull"),
    rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml)": ("a web page or XML", "download the data themselves, or save them as .csv"),
    rb"(\xef\xbb\xbf)?\s*{[^\n]*}\r?\n\s*{": ("JSON in lines", CSV.format("json", "{}").replace(").to", ", lines=True).to")),
    rb"(\xef\xbb\xbf)?\s*[\[{]\s*[\[{\"\d\]}-]": ("JSON", CSV.format("json", "{}")),
    rb"(?i)(\s*%[^\n]*\n)*\s*@relation": ("an ARFF file", NPZ.format("scipy.io.arff.loadarff")),
    rb"\S+( +\d+:\S+)+\s*\n": ("a LIBSVM file", NPZ.format("sklearn.datasets.load_svmlight_file, x as x.toarray()"))}


def read_file(path):
    """(content, kind) of a file, which is read only once and decompressed; kind is "npz", "idx" or "table"."""
    if not path.exists():
        near = get_close_matches(path.name, [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else [], n=1)
        remedy = f"did you mean {near[0]}?" if near else "give the path of a .csv, .npz or idx file"
        raise FileNotFoundError(f"the file {path} does not exist: {remedy}")
    given = path.read_bytes()
    content = decompressed(path, given)
    if not content:
        raise ValueError(f"{path} is empty: expected {KNOWN}")
    kind = "npz" if content.startswith(ZIP) else "idx" if content[:2] == b"\0\0" else "table"
    if kind == "table" and content is not given:
        with damage(path, "", ""):
            require_allowed(len(content), FREE_TEXT + TEXT_TIMES * len(given))
    return content, kind


def decompressed(path, content):
    """The content of a file without gzip, bzip2 or xz, or of the single file in a .zip; raises ValueError for other formats."""
    limit = allowed(len(content))
    for _ in range(NESTED + 1):
        for start, (what, remedy) in FOREIGN.items():
            if re.match(start, content[:1 << 16], re.DOTALL):
                raise ValueError(f"{path} is {what}: expected {KNOWN}: {remedy.format(path.name)}")
        inner = _unpacked(path, content, limit)
        if inner is None:
            return content
        content = inner
    raise ValueError(f"{path} is compressed more than {NESTED} times: unpack it and give the file inside")


def _unpacked(path, content, limit):
    """What a compressed file holds, up to limit bytes; None if it is not compressed."""
    if name := next((name for start, name in COMPRESSED.items() if re.match(start, content)), None):
        module = import_module(name)   # here, because Python may be built without bz2 or lzma
        with damage(path, "is truncated or damaged", "download it again"):
            return expanded(module.open(io.BytesIO(content)), limit)
    if not content.startswith(ZIP):
        return None
    with damage(path, "is damaged or not an .npz file", "save it again or use a copy"):
        archive = Archive(io.BytesIO(content))
        members = [info for info in archive.members.values()
                   if not info.filename.endswith("/") and not info.filename.startswith("__MACOSX/")]
        if not members or any(info.filename.endswith(".npy") for info in members):
            return None
        if len(members) == 1:
            return archive.content(members[0], limit)
    raise ValueError(f"{path} holds {len(members)} files, {listed([info.filename for info in members], 3)}: expected one: unpack "
                     "it and give one of its files")
