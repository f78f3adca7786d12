// The controls of the playground, and what it draws.

const BUDGET = 12, STILL = 500;         // milliseconds: of training in a frame; between pictures for who wants less motion
const GRID = 96, MARGIN = 0.1, MOST_COSTS = 600;
const COLORS = ["blue", "orange", "green", "red", "violet", "teal", "ink", "faint"];
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const $ = (id) => document.getElementById(id);
const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : word.endsWith("s") ? "es" : "s"}`;
const short = (number) => String(Number(number.toPrecision(4)));

let table, moments, x, goals, y, codes, net, epoch, done, epochCost, costs, stride, order, random, running = false, drawn = 0;

const isLabels = () => table.metadata.classes !== null;
const kind = () => (!isLabels() ? "regression" : table.metadata.classes.length === 2 ? "two" : "classes");
const number = (id) => Number($(id).value);

// ---- the network

// a generator of numbers in [0, 1), for the order of the rows
function generator(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let bits = Math.imul(seed ^ (seed >>> 15), seed | 1);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), bits | 61)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
}

function show(chosen) {
  table = chosen;
  const { columns, target, classes } = table.metadata, inputs = columns.length, rows = table.y.length;
  moments = columns.map((_, k) => shiftAndScale(table.x, inputs, k));
  x = Float64Array.from(table.x, (value, i) => standardized(value, moments[i % inputs]));
  goals = isLabels() ? [0, 1] : shiftAndScale(table.y, 1, 0);   // targets are standardized, too
  y = isLabels() ? table.y : table.y.map((value) => standardized(value, goals));
  const names = columns.map((name, k) => `x${inputs > 1 ? k + 1 : ""} = ${name}`).join(", ");
  $("about").textContent = `${table.metadata.data}: ${names}, ${isLabels() ? `labels = ${target}: ` +
    count(classes.length, "class") : `y = ${target}: regression`}; ${count(rows, "row")}.`;
  const before = $("cost").value, known = Object.keys(data.costs[kind()]);
  $("cost").replaceChildren(...known.map((name) => new Option(name.replaceAll("_", " "), name)));
  $("cost").value = known.includes(before) ? before : { regression: "quadratic", two: "binary_cross_entropy",
                             classes: "softmax_cross_entropy" }[kind()];
  $("legend").replaceChildren(...(classes || []).map((name, label) => {
    const item = document.createElement("li"), picture = document.createElement("canvas");
    Object.assign(picture, { width: 16, height: 16 }).setAttribute("aria-hidden", "true");
    item.append(picture, ` ${name}`);
    return item;
  }));
  restart();
}

function restart() {
  const depth = number("depth");
  for (let l = 1; l <= data.limits.hidden; l++) $(`neurons${l}`).disabled = l > depth;
  const hidden = Array.from({ length: depth }, (_, l) => number(`neurons${l + 1}`));
  const [output, single] = data.costs[kind()][$("cost").value];
  const outputs = !isLabels() || single ? 1 : table.metadata.classes.length;
  net = new Network([moments.length, ...hidden, outputs], [...hidden.map(() => $("activation").value), output], $("cost").value,
           data.normals[$("seed").value], data.scales, $("optimizer").value);
  net.seed = number("seed");
  codes = targetsOf(net.cost, y, outputs, isLabels());
  $("output").textContent = `${output}, ${count(outputs, "output")}`;
  epoch = done = epochCost = 0;
  [costs, stride, random] = [[], 1, generator(net.seed)];
  order = Array.from(y.keys());
  say("");
  $("status").textContent = "";
  draw(true);
}

// A step on the next mini-batch
function step() {
  const rows = y.length, size = Math.min(number("batch") || rows, rows - done);
  if (done === 0 && size < rows) {   // a new order of the rows
    for (let i = rows - 1; i > 0; i--) {
      const j = Math.floor(random() * (i + 1));
      [order[i], order[j]] = [order[j], order[i]];
    }
  }
  const taken = size < rows ? order.slice(done, done + size) : null;
  const gathered = (matrix, columns) => (taken === null ? matrix : Float64Array.from(
    { length: size * columns }, (_, i) => matrix[taken[Math.floor(i / columns)] * columns + i % columns]));
  epochCost += net.step(gathered(x, net.sizes[0]), gathered(codes, net.sizes[net.depth]), number("rate")) * size / rows;
  done += size;
  if (done < rows) return;
  if (epoch++ % stride === 0) costs.push(epochCost);
  done = epochCost = 0;
  if (costs.length > MOST_COSTS) {
    costs = costs.filter((_, i) => i % 2 === 0);
    stride *= 2;
  }
}

function attempt(steps) {
  try {
    steps();
  } catch (error) {
    if (!(error instanceof Diverged)) throw error;
    run(false);
    say(`${error.message} in epoch ${epoch + 1}; the network has its last good parameters: try a smaller learning rate`);
  }
}

function run(on) {
  running = on;
  $("train").textContent = on ? "Pause" : "Train";
  if (on) {
    say("");
    $("status").textContent = "Training.";
    requestAnimationFrame(frame);
  }
}

function frame() {
  if (!running) return;
  const end = performance.now() + BUDGET;
  attempt(() => { do step(); while (performance.now() < end); });
  if (!running || !calm.matches || performance.now() - drawn > STILL) draw(!running);
  if (running) requestAnimationFrame(frame);
}

const say = (sentence) => { $("alert").textContent = sentence; };

// ---- pictures

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// The context of a canvas in CSS pixels, cleared, with its size
function cleared(canvas, ratio) {
  const width = canvas.clientWidth, height = width * ratio, scale = devicePixelRatio;
  [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  return [context, width, height];
}

// The range of column k of a matrix, with a margin
function range(matrix, columns, k) {
  const values = Array.from(matrix).filter((_, i) => i % columns === k), low = Math.min(...values), high = Math.max(...values);
  const margin = MARGIN * (high - low) || 1;
  return [low - margin, high + margin];
}

// The marker of a class: a circle, a triangle, a square, ...
function mark(context, label, across, down, size) {
  const corners = label === 0 ? 0 : label + 2, turn = corners === 4 ? Math.PI / 4 : Math.PI / 2;
  context.beginPath();
  if (corners === 0) context.arc(across, down, size, 0, 2 * Math.PI);
  for (let i = 0; i < corners; i++) {
    const angle = turn + 2 * Math.PI * i / corners;
    context.lineTo(across + 1.25 * size * Math.cos(angle), down - 1.25 * size * Math.sin(angle));
  }
  context.closePath();
  context.fillStyle = color(COLORS[label]);
  context.fill();
  context.strokeStyle = color("paper");
  context.stroke();
}

// How clearly each row of outputs belongs to its label, from 0 to 1
function margins(outputs) {
  const width = net.sizes[net.depth], [off, on] = net.cost.codes;
  return Array.from({ length: outputs.length / width }, (_, i) => {
    const row = Array.from(outputs.subarray(i * width, (i + 1) * width)).sort((a, b) => b - a);
    return Math.min(1, width === 1 ? Math.abs(2 * row[0] - off - on) / (on - off) : row[0] - row[1]);
  });
}

function drawRegions(context, width, height) {
  const [low, high] = [[0, 1].map((k) => range(x, 2, k)[0]), [0, 1].map((k) => range(x, 2, k)[1])];
  const place = (i) => (i + 0.5) / GRID;
  const points = Float64Array.from({ length: 2 * GRID * GRID }, (_, i) => {
    const cell = Math.floor(i / 2), k = i % 2;
    const share = k === 0 ? place(cell % GRID) : 1 - place(Math.floor(cell / GRID));
    return low[k] + share * (high[k] - low[k]);
  });
  const outputs = net.feedforward(points), labels = net.labels(outputs), clear = margins(outputs);
  const colors = COLORS.map((name) => parseInt(color(name).slice(1), 16));
  const image = new ImageData(GRID, GRID);
  labels.forEach((label, i) => {
    const rgb = colors[label];
    image.data.set([rgb >> 16, (rgb >> 8) & 255, rgb & 255, 40 + 75 * clear[i]], 4 * i);
  });
  const small = new OffscreenCanvas(GRID, GRID);
  small.getContext("2d").putImageData(image, 0, 0);
  context.drawImage(small, 0, 0, width, height);
  const size = y.length > 500 ? 2.5 : 4;
  y.forEach((label, i) => mark(context, label, (x[2 * i] - low[0]) / (high[0] - low[0]) * width,
                (high[1] - x[2 * i + 1]) / (high[1] - low[1]) * height, size));
}

function drawFit(context, width, height) {
  const [left, right] = range(x, 1, 0), [low, high] = range(y, 1, 0);
  const across = (value) => (value - left) / (right - left) * width, down = (value) => (high - value) / (high - low) * height;
  y.forEach((value, i) => mark(context, 0, across(x[i]), down(value), y.length > 500 ? 2.5 : 4));
  const points = Float64Array.from({ length: 2 * GRID + 1 }, (_, i) => left + i / (2 * GRID) * (right - left));
  line(context, Array.from(net.feedforward(points), (value, i) => [across(points[i]), down(value)]), "orange", 3);
}

function line(context, points, name, thickness) {
  context.beginPath();
  points.forEach(([across, down]) => context.lineTo(across, down));
  [context.strokeStyle, context.lineWidth] = [color(name), thickness];
  context.stroke();
}

function drawCosts() {
  const [context, width, height] = cleared($("curve"), 0.2), most = Math.max(...costs, 1e-300);
  if (costs.length > 1) {
    const down = (cost) => height - 2 - cost / most * (height - 4);
    line(context, costs.map((cost, i) => [i / (costs.length - 1) * width, down(cost)]), "blue", 2);
  }
  return most;
}

// Accuracy of labels, or R^2 of a regression
function scoreOf(outputs) {
  if (isLabels()) {
    const labels = net.labels(outputs);
    return y.filter((label, i) => label === labels[i]).length / y.length;
  }
  const mean = sum(y) / y.length;
  return 1 - sum(y.map((value, i) => (value - outputs[i]) ** 2)) / sum(y.map((value) => (value - mean) ** 2));
}

// described: whether the texts for those who cannot see the pictures are renewed, as they are when training stands still
function draw(described) {
  drawn = performance.now();
  const [context, width, height] = cleared($("plane"), isLabels() ? 0.85 : 0.7);
  (isLabels() ? drawRegions : drawFit)(context, width, height);
  const most = drawCosts(), outputs = net.feedforward(x), score = scoreOf(outputs), cost = net.meanCost(codes);
  const scored = isLabels() ? `${(100 * score).toFixed(1)} %` : score.toFixed(4);
  $("epoch").textContent = epoch;
  $("cost-now").textContent = short(cost);
  $("score-name").textContent = isLabels() ? "accuracy" : "R²";
  $("score").textContent = scored;
  Array.from($("legend").children).forEach((item, label) => {
    const [picture] = item.children;
    picture.width = 16;   // which clears it
    mark(picture.getContext("2d"), label, 8, 8, 5);
  });
  if (!described) return;
  const { columns, target, classes } = table.metadata, units = (k, matrix, columns, scaling) => range(matrix, columns, k)
    .map((value) => short(restored(value, scaling))).join(" to ");
  const axes = isLabels() ? [[columns[0], units(0, x, 2, moments[0])], [columns[1], units(1, x, 2, moments[1])]] : [
    [columns[0], units(0, x, 1, moments[0])], [target, units(0, y, 1, goals)]];
  $("axes").textContent = `To the right: ${axes[0].join(", ")}. Upwards: ${axes[1].join(", ")}.`;
  const seen = isLabels() ? `The plane, colored by the class that the network predicts, and ${count(y.length, "point")} of ` +
    count(classes.length, "class") : `${count(y.length, "point")}, and the network's output as a curve`;
  $("plane").setAttribute("aria-label", `${seen}. ${$("axes").textContent} After ${count(epoch, "epoch")}, ` +
    `${$("score-name").textContent} is ${scored}.`);
  $("curve").setAttribute("aria-label", costs.length ? `The cost by epoch: ${short(costs[0])} at first, ` +
    `${short(costs.at(-1))} now.` : "The cost by epoch: none yet.");
  $("scale").textContent = costs.length ? `Cost by epoch, from 0 to ${short(most)}` : "Cost by epoch";
  if (epoch) $("status").textContent = `Epoch ${epoch}: cost ${short(cost)}, ${$("score-name").textContent} ${scored}.`;
}

// ---- files

// The bytes of the network as a file that gpubp.load reads
function networkFile() {
  const names = net.names, members = {}, { w, b, sizes } = net;
  const layers = names.map((activation, l) => (
    { neurons: sizes[l + 1], activation, initializer: formulas.activations[activation].initializer }));
  const run = isLabels() ? {} : { run: {
    path: table.metadata.data, hold_back: 0, epochs: Math.max(1, epoch), batch_size: number("batch") || null, patience: null,
    own_optimizer: true, target_shift: goals[0], target_scale: goals[1] } };
  const header = { ...data.header, cost: net.costName, seed: net.seed, layers: [sizes[0], ...layers],
          notes: { ...table.metadata, ...run }, task: isLabels() ? "classification" : "regression",
          standardization: [moments.map(([shift]) => shift), moments.map(([, scale]) => scale)] };
  members.gpubp = npy(JSON.stringify(header), null);
  for (let l = 1; l <= net.depth; l++) members[`w${l}`] = npy(w[l], [sizes[l], sizes[l - 1]]);
  for (let l = 1; l <= net.depth; l++) members[`b${l}`] = npy(b[l], [sizes[l]]);
  return npz(members);
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([networkFile()], { type: "application/octet-stream" }));
  link.download = "network.npz";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function bytesOf(file) {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch (error) {   // it is a folder, has changed, or must not be read
    throw new Refused(`expected a file that can be read, got ${file.name} (${error.message}): choose it again, or another`);
  }
}

async function open(file) {
  try {
    if (file.size > 1 << 22) {
      throw new Refused(`${file.name}: expected 2 to ${data.limits.rows.toLocaleString("en")} rows, got a file of ` +
               `${(file.size / 2 ** 20).toFixed(0)} MiB: leave some out`);
    }
    const text = textOf(await bytesOf(file), file.name);
    const read = tableOf(text, file.name, data.limits);
    run(false);
    data.tables.push(read);
    $("table").add(new Option(file.name, data.tables.length - 1, true, true));
    show(read);
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    say(error.message);
  } finally {
    $("file").value = "";   // so that the file can be chosen again after a change
  }
}

// ---- controls

data.tables.forEach(({ metadata }, place) => $("table").add(new Option(metadata.data, place)));
$("table").addEventListener("change", () => { run(false); show(data.tables[number("table")]); });
$("file").addEventListener("change", () => { if ($("file").files.length) open($("file").files[0]); });
for (const id of ["depth", "neurons1", "neurons2", "neurons3", "activation", "cost", "seed"]) {
  $(id).addEventListener("change", restart);
}
$("optimizer").addEventListener("change", () => {
  const name = $("optimizer").value;
  $("rate").value = formulas.optimizers[name].learningRate;
  net.use(name);
});
$("train").addEventListener("click", () => { run(!running); if (!running) draw(true); });
$("step").addEventListener("click", () => { run(false); say(""); attempt(step); draw(true); });
$("restart").addEventListener("click", () => { run(false); restart(); });
$("save").addEventListener("click", download);
addEventListener("resize", () => draw(!running));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(!running));
show(data.tables[0]);
