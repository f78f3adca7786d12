// Reads a table of text as gpubp.playground.read does: with the same rules and, for what it refuses, the same sentences.

const EXPECTED = "expected two numeric columns and one of labels, or two numeric columns";
const NUMBER = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i;
const GROUPED = /^[+-]?(\d+|[1-9]\d{0,2}\.\d{3})$/;   // the point may separate thousands
const CODE = /^[+-]?(0\d+|\d{16,})$/;                  // codes such as 007 are names
const MISSING = new Set(data.limits.missing), FOREIGN = new RegExp(`^(?:${data.limits.foreign})$`, "iu");
const SPACE = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+";   // Python's
const ENDS = new RegExp(`^${SPACE}|${SPACE}$`, "g");
const DELIMITERS = ["\t", ";", "|", ","];

class Refused extends Error {}

function refuse(place, sentence) {
  throw new Refused(`${place}: ${sentence}`);
}

// "number", "missing", "truth", "foreign" (in another notation, such as 1,5 or $12), "text" or "mark" (no letter or digit)
function kindOf(cell) {
  const word = cell.toLowerCase();
  if (NUMBER.test(cell)) return "number";
  if (MISSING.has(word)) return "missing";
  if (word === "true" || word === "false") return "truth";
  return FOREIGN.test(cell) ? "foreign" : /[\p{L}\p{N}]/u.test(cell) ? "text" : "mark";
}

const shown = (delimiter) => (delimiter === "\t" ? "\\t" : delimiter);
const isNumeric = (kind) => ["number", "foreign", "truth"].includes(kind);

// The cells of a line
const cellsOf = (line, delimiter) => (rowsOf(line, delimiter)[0] || [1, [""]])[1];

// [[line, cells], ...] of a text; the name of its file, for errors, if stray quotes are refused
function rowsOf(text, delimiter, name = null) {
  const rows = [];
  let cells = [], cell = "", state = "start", line = 1, first = 1;   // state: start, bare, quoted or closed
  const damaged = (how) => {
    if (name === null) return;
    refuse(`${name}, line ${first}`, `expected cells separated by '${shown(delimiter)}', got a damaged row (${how}): look ` +
       "for a stray quote");
  };
  const end = () => { cells.push(cell.replace(ENDS, "")); [cell, state] = ["", "start"]; };
  const endRow = () => {
    end();
    if (name && line > first) {
      refuse(`${name}, line ${first}`, `expected each row on one line, got a quoted cell that runs to line ${line}: ` +
         "remove the stray quote, or the line break");
    }
    if (cells.length > 1 || cells[0] !== "") rows.push([line, cells]);
    cells = [];
    first = ++line;
  };
  if (delimiter === " ") text = text.replace(/^ +| +$/gm, "");
  for (let i = 0; i < text.length; i++) {
    const sign = text[i];
    if (state === "quoted") {
      if (sign === "\n") line++;
      if (sign !== '"') cell += sign;
      else if (text[i + 1] === '"') { cell += '"'; i++; } else state = "closed";
    } else if (sign === "\n") endRow();
    else if (sign === delimiter) { if (sign !== " " || state !== "start") end(); }
    else if (state === "start" && sign === '"') state = "quoted";
    else if (state !== "start" || sign !== " ") {
      if (state === "closed") damaged(`'${delimiter}' expected after '"'`);
      else state = "bare";
      cell += sign;
    }
  }
  if (state === "quoted") damaged("unexpected end of data");
  endRow();
  return rows;
}

// The sign that splits all lines into the same number of cells, at least two
function delimiterOf(lines, name) {
  const widthsOf = (sign) => lines.map((line) => cellsOf(line, sign).length);
  const even = DELIMITERS.filter((sign) => {
    const widths = new Set(widthsOf(sign));
    return widths.size === 1 && !widths.has(1);
  });
  if (even.length > 1) {   // one of them may stand inside cells
    const signs = even.map((sign) => `'${shown(sign)}'`).join(" and ");
    refuse(name, `expected one sign between the columns, got ${signs} evenly in all lines: write the table with another ` +
       "sign");
  }
  const all = lines.join("\n"), counts = DELIMITERS.map((sign) => all.split(sign).length - 1), most = Math.max(...counts);
  if (even.length || most) return even[0] || DELIMITERS[counts.indexOf(most)];
  const [first, ...others] = widthsOf(" ");
  const spaced = (first > 1 && others.every((width) => width === first)) ||
    (others.length > 0 && others.every((width) => width === first + 1));   // R gives the names of rows no header
  return spaced ? " " : "\t";
}

// Whether the first row names the columns, judged by the rows below; null if it is ambiguous
function isHeader(first, below) {
  const kinds = first.map(kindOf), numbers = first.filter((_, k) => isNumeric(kinds[k]));
  if (!below.length) return !numbers.length;
  const columns = first.map((_, k) => below.map((cells) => cells[k]));
  const isKnown = (kind) => kind !== "missing" && kind !== "mark";
  const known = columns.map((column) => column.map(kindOf).filter(isKnown).map(isNumeric));
  const words = first.map((cell, k) => [cell, columns[k]]).filter((_, k) => kinds[k] === "text");
  const fresh = words.every(([cell, column]) => !column.includes(cell));
  const whole = new Set(numbers).size === numbers.length && numbers.every((cell) => /^\d+$/.test(cell));
  const counting = whole && numbers.length > 1 && (numbers.length > 2 || numbers[0] === "0") &&
    numbers.every((cell, i) => i === 0 || Number(cell) - Number(numbers[i - 1]) === 1);
  const aboveText = known.some((column, k) => isNumeric(kinds[k]) && column.length && !column.includes(true));
  const aboveNumbers = known.some((column, k) => kinds[k] === "text" && 2 * column.filter(Boolean).length > column.length);
  const gaps = first.some((cell, k) => cell && !isKnown(kinds[k]));
  const sample = !(whole && fresh) || (gaps && !aboveNumbers);
  if (!numbers.length || aboveNumbers || (counting && aboveText) ||
    (fresh && words.some(([cell]) => data.limits.targets.includes(cell.toLowerCase())))) return sample ? null : true;
  const repeated = fresh && words.some(([, column]) => 2 * new Set(column).size <= column.length);
  return repeated || aboveText || (counting && !sample) ? null : false;
}

// By code points, as Python sorts texts
function inOrder(a, b) {
  if (typeof a === "number") return a - b;
  const [one, other] = [[...a], [...b]], k = one.findIndex((sign, i) => sign !== other[i]);
  return k < 0 ? one.length - other.length : k < other.length ? one[k].codePointAt(0) - other[k].codePointAt(0) : 1;
}

// A column in which each point may separate thousands, as in 950 and 1.250, is refused
function checkGroups(name, header, rows, columns) {
  for (const k of columns) {
    const kept = rows.filter(([, cells]) => NUMBER.test(cells[k]));
    const grouped = kept.filter(([, cells]) => GROUPED.test(cells[k]));
    const pointed = grouped.find(([, cells]) => cells[k].includes("."));
    if (grouped.length === kept.length && pointed && grouped.some(([, cells]) => !cells[k].includes("."))) {
      refuse(`${name}, line ${pointed[0]}, column '${header[k]}'`, "expected a number in a clear notation, got " +
         `${pointed[1][k]} beside numbers without a point: write all with the same number of decimals`);
    }
  }
}

// The numbers of all rows in columns: True and False are 1 and 0
function numbersOf(name, header, rows, columns) {
  const place = ([line], k) => `${name}, line ${line}, column '${header[k]}'`;
  const found = rows.map((row) => columns.map((k) => {
    const cell = row[1][k], kind = kindOf(cell);
    if (kind === "missing") refuse(place(row, k), `the value is missing, got '${cell}': fill it in, or leave the line out`);
    if (kind === "truth") return Number(cell.toLowerCase() === "true");
    if (kind !== "number") refuse(place(row, k), `expected a number, got '${cell}': correct the file`);
    return Number(cell);
  }));
  const each = (check) => found.forEach((values, i) => values.forEach((value, j) => check(value, rows[i], columns[j])));
  each((value, row, k) => {
    if (!Number.isFinite(value)) refuse(place(row, k), `expected a number, got '${row[1][k]}': correct the file`);
  });
  const truths = columns.filter((k) => rows.some(([, cells]) => kindOf(cells[k]) === "truth"));
  each((value, row, k) => {
    if (truths.includes(k) && value !== 0 && value !== 1) {
      refuse(place(row, k), `expected True or False as on other lines, got ${Number(value.toPrecision(6))}: correct ` +
         "the file");
    }
  });
  return found.flat();
}

// The text in a file: UTF-8, or UTF-16 with a byte order mark
function textOf(bytes, name) {
  const encoding = { "255,254": "utf-16le", "254,255": "utf-16be" }[bytes.subarray(0, 2)] || "utf-8", nul = bytes.indexOf(0);
  if (encoding === "utf-8" && nul >= 0) {
    throw new Refused(`${name} has an unknown format: expected a table of text, got a NUL byte at ${nul}: save it as UTF-8`);
  }
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new Refused(`${name} is not text in UTF-${encoding === "utf-8" ? 8 : 16}: save it as UTF-8`);
  }
}

// A table {metadata, x, y} from the text of a file: x and y are lists of numbers, rows and labels or targets
function tableOf(text, name, limits) {
  const lines = text.split(/\r\n|\r|\n/), stated = /^sep=([^"])(\n|\r|$)/i.exec(text);   // Excel's first line
  if (stated) lines[0] = "";
  const filled = lines.filter((line) => line.trim() && !line.startsWith("#"));
  if (!filled.length) throw new Refused(`${name} is empty: expected rows of comma-separated values`);
  const delimiter = stated ? stated[1] : delimiterOf(filled.slice(0, 100), name), width = cellsOf(filled[0], delimiter).length;
  const isComment = (cells) => cells[0].startsWith("#") && cells.length !== width;
  const all = rowsOf(lines.join("\n"), delimiter, name).filter(([, cells]) => !isComment(cells));
  const odd = all.findIndex(([, cells]) => cells.length !== width);
  if (odd >= 0) {
    const [line, cells] = all[odd];
    refuse(`${name}, line ${line}`, `expected ${width} cells as in the first line, got ${cells.length}: ` +
       (odd === 1 && cells.length > width ? "name each column in the first line, or delete a title above the names" :
         `complete the line, or quote cells that hold '${delimiter}'`));
  }
  const columns = Array.from({ length: width }, (_, k) => k), below = all.slice(1).map(([, cells]) => cells);
  const isWord = (cell) => ["text", "truth"].includes(kindOf(cell));
  const words = columns.filter((k) => 2 * below.filter((cells) => isWord(cells[k])).length > below.length);
  if (!["2,0", "3,0", "3,1"].includes(`${width},${words.length}`)) {
    refuse(name, `${EXPECTED}, got ${width - words.length} numeric and ${words.length} of words: leave out the others in ` +
       "a copy of the file");
  }
  const named = isHeader(all[0][1], below.slice(0, 50));
  if (named === null) {
    refuse(name, `expected a first line that is clearly a header or a sample, got ${all[0][1].join(", ")}: write names of ` +
       "the columns in it that are not cells below it");
  }
  const header = named ? all[0][1].map((cell) => cell.replace(/^#\s*(?=\S)/, "")) : columns.map((k) => `column ${k + 1}`);
  const rows = all.slice(Number(named)), target = words.length ? words[0] : width - 1;
  const twice = header.find((cell, k) => header.indexOf(cell) !== k);
  if (twice !== undefined) refuse(name, `expected each column name once, got '${twice}' twice: rename one`);
  if (!rows.length) refuse(name, "expected at least one row of data, got only a header: give a file with more rows");
  const features = columns.filter((k) => k !== target), isLabels = width === 3;
  const x = numbersOf(name, header, rows, features);
  checkGroups(name, header, rows, columns);
  const goals = rows.map(([, cells]) => cells[target]), place = (i) => `${name}, line ${rows[i][0]}`;
  const gap = goals.findIndex((goal) => goal === "" || (!isLabels && kindOf(goal) === "missing"));
  if (gap >= 0) {
    refuse(`${place(gap)}, column '${header[target]}'`, `the value is missing, got '${goals[gap]}': fill it in, or leave ` +
       "the line out");
  }
  const other = goals.findIndex((goal) => !NUMBER.test(goal));
  if (!isLabels && other >= 0) {
    refuse(`${place(other)}, column '${header[target]}'`, `expected a number, got '${goals[other]}': correct the file`);
  }
  const numeric = other < 0 && !(isLabels && goals.some((goal) => CODE.test(goal)));
  const values = numeric ? goals.map(Number) : goals, distinct = [...new Set(values)];
  if (isLabels && numeric && !values.every((value) => value === Math.floor(value))) {   // versions, for instance
    const written = new Map();
    values.forEach((value, i) => {
      if (!written.has(value)) written.set(value, goals[i]);
      if (written.get(value) !== goals[i]) {
        refuse(`${name}, column '${header[target]}'`, "expected one spelling of each class, got " +
           `${written.get(value)} and ${goals[i]}: correct the file`);
      }
    });
  }
  const infinite = numeric ? values.findIndex((value) => !Number.isFinite(value)) : -1;
  if (infinite >= 0) {
    refuse(place(infinite), `expected a finite target, got ${values[infinite] < 0 ? "-inf" : "inf"}: ` +
       "correct the file");
  }
  if (distinct.length === 1) {
    const only = !numeric ? `'${values[0]}'` : Number.isInteger(values[0]) ? values[0].toFixed(1) : values[0];
    refuse(name, `expected at least two different targets, got ${only} for all ${rows.length} samples`);
  }
  const classes = isLabels ? distinct.sort(inOrder) : null;
  if (isLabels && classes.length > limits.classes) {
    refuse(name, `expected 2 to ${limits.classes} classes, got ${classes.length} in '${header[target]}': join some of them`);
  }
  if (rows.length < 2 || rows.length > limits.rows) {
    refuse(name, `expected 2 to ${limits.rows.toLocaleString("en")} rows, got ${rows.length.toLocaleString("en")}: leave ` +
       "some out");
  }
  const metadata = { data: name, features: features.length, classes, columns: features.map((k) => header[k]), header,
           target: header[target], shift: 0, scale: 1, options: { index: "none", missing: [], separator: delimiter },
           multi_label: false };
  return { metadata, x, y: isLabels ? values.map((value) => classes.indexOf(value)) : values };
}
