// A layered network in float64: the equations of gpubp.Network on batches. A matrix is a Float64Array of its rows in order.
// `formulas` holds the tables of gpubp.maths; an activation without sigma is softmax.

const sum = (values) => values.reduce((total, value) => total + value, 0);

// powers, and their sum, of a row less its largest number
function powersOf(z) {
  const largest = Math.max(...z), powers = z.map((z_j) => Math.exp(z_j - largest));
  return [powers, sum(powers), largest];
}

// sigma of a row
function activate(activation, z) {
  if (activation.sigma) return z.map(activation.sigma);
  const [powers, total] = powersOf(z);
  return powers.map((power) => power / total);
}

// The second half of BP2: delta of a row from da, which is dC/da.
function timesPrime(activation, da, z, a) {
  if (activation.sigma) return da.map((da_j, j) => da_j * activation.prime(z[j], a[j]));
  const mean = sum(da.map((da_j, j) => da_j * a[j]));
  return a.map((a_j, j) => a_j * (da[j] - mean));
}

const meetsPartner = (cost, activation) => formulas.activations[cost.partner] === activation;

// The outputs as the cost's formulas take them: a relative cost takes their differences from the true output.
function seen(cost, a, y) {
  if (!cost.relative) return a;
  const truth = sum(a.map((a_j, j) => y[j] * a_j));
  return a.map((a_j) => a_j - truth);
}

// The cost of a row before its outer function
function totalOf(cost, activation, z, a, y) {
  if (!meetsPartner(cost, activation)) return sum(seen(cost, a, y).map((d, j) => cost.value(d, y[j])));
  if (activation.sigma) return sum(z.map((z_j, j) => cost.value_at(z_j, y[j])));
  const [, total, largest] = powersOf(z);
  return sum(z.map((z_j, j) => cost.value_at(z_j - largest - Math.log(total), y[j])));
}

function costOf(cost, activation, z, a, y) {
  const total = totalOf(cost, activation, z, a, y);
  return cost.outer ? cost.outer(total) : total;
}

// dC/da of a row
function gradientOf(cost, activation, z, a, y) {
  let da = seen(cost, a, y).map((d, j) => cost.prime(d, y[j]));
  if (cost.relative) {   // all differences depend on the true output
    const all = sum(da);
    da = da.map((da_j, j) => da_j - y[j] * all);
  }
  if (cost.outer) {
    const slope = cost.outer_prime(totalOf(cost, activation, z, a, y));
    da = da.map((da_j) => da_j * slope);
  }
  return da;
}

// BP1: delta of the last layer for the cost of a row.
function firstDelta(cost, activation, z, a, y) {
  if (meetsPartner(cost, activation)) return a.map((a_j, j) => a_j - y[j]);
  return timesPrime(activation, gradientOf(cost, activation, z, a, y), z, a);
}

// (mean, standard deviation) of column k of a matrix of `width` columns, without overflow; its value and 1 if it is constant
function shiftAndScale(x, width, k) {
  const column = x.filter((_, i) => i % width === k);
  const low = column.reduce((a, b) => Math.min(a, b)), high = column.reduce((a, b) => Math.max(a, b));
  if (low === high) return [low + 0, 1];
  const middle = 0.5 * low + 0.5 * high, unit = Math.max(high - middle, middle - low, Number.MIN_VALUE);
  const parts = column.map((value) => (value - middle) / unit), mean = sum(parts) / parts.length;
  const scale = unit * Math.sqrt(sum(parts.map((part) => (part - mean) ** 2)) / parts.length);
  const size = Math.max(Math.abs(low), Math.abs(high));
  // smaller deviations are rounding errors
  return [middle + mean * unit, scale < 1e-14 * size ? Math.max(size, 1) : Math.max(scale, Number.MIN_VALUE)];
}

// (value - shift) / scale; the difference of two large numbers may overflow
function standardized(value, [shift, scale]) {
  const factor = scale > 1e100 ? 0.25 : 1;
  return (factor * value - factor * shift) / (factor * scale);
}

const restored = (value, [shift, scale]) => value * scale + shift;

// The codes of labels, or the targets of a regression, as a matrix.
function targetsOf(cost, y, outputs, isLabels) {
  if (!isLabels) return Float64Array.from(y);
  const [off, on] = cost.codes, rows = new Float64Array(y.length * outputs).fill(off);
  y.forEach((label, i) => { if (outputs > 1 || label === 1) rows[i * outputs + (outputs > 1 ? label : 0)] = on; });
  return rows;
}

class Diverged extends Error {}

class Network {
  // sizes: [inputs, ..., outputs]; activations: their names in layers 1 to L; cost: its name; normals: the standard normal
  // numbers of each layer, weights first; scales: of the initializers, by name, inputs and neurons; optimizer: its name
  constructor(sizes, activations, cost, normals, scales, optimizer) {
    this.sizes = sizes;
    this.depth = sizes.length - 1;
    this.activations = [null, ...activations.map((name) => formulas.activations[name])];
    this.names = activations;
    this.costName = cost;
    this.cost = formulas.costs[cost];
    const shapes = sizes.slice(1).map((neurons, l) => neurons * sizes[l]).concat(sizes.slice(1));
    const size = sum(shapes);
    this.vector = new Float64Array(size);     // all weights, then all biases
    this.gradient = new Float64Array(size);
    [this.w, this.b] = this.views(this.vector, shapes);
    [this.dw, this.db] = this.views(this.gradient, shapes);
    for (let l = 1; l <= this.depth; l++) {
      const numbers = normals[l - 1], count = this.w[l].length;
      const { weights, biases } = scales[this.activations[l].initializer];
      const scale = weights[sizes[l - 1] - 1][sizes[l] - 1];
      this.w[l].forEach((_, i, w) => { w[i] = numbers[i] * scale; });
      this.b[l].forEach((_, i, b) => { b[i] = biases * numbers[count + i]; });
    }
    this.use(optimizer);
  }

  // [weights, biases] of layers 1 to L as views of a vector
  views(vector, shapes) {
    let start = 0;
    const views = shapes.map((count) => vector.subarray(start, start += count));
    return [[null, ...views.slice(0, this.depth)], [null, ...views.slice(this.depth)]];
  }

  // Go on with an optimizer, by name, whose state is zero.
  use(optimizer) {
    this.optimizer = formulas.optimizers[optimizer];
    this.steps = 0;
    this.state = this.optimizer.state.map(() => new Float64Array(this.vector.length));
    this.good = [this.vector, ...this.state].map((vector) => vector.slice());
  }

  // The outputs of a batch x; z and a of all layers stay in this.z and this.a.
  feedforward(x) {
    const rows = x.length / this.sizes[0];
    this.z = [null];
    this.a = [x];
    for (let l = 1; l <= this.depth; l++) {
      const inputs = this.sizes[l - 1], neurons = this.sizes[l], before = this.a[l - 1], w = this.w[l], b = this.b[l];
      const z = new Float64Array(rows * neurons), activation = this.activations[l];
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < neurons; j++) {   // z = a w^T + b
          let total = 0;
          for (let k = 0; k < inputs; k++) total += before[i * inputs + k] * w[j * inputs + k];
          z[i * neurons + j] = total + b[j];
        }
      }
      this.z.push(z);
      this.a.push(activation.sigma ? z.map((z_j) => activation.sigma(z_j)) : this.byRows(rows, (i) =>
        activate(activation, this.row(z, i))));
    }
    return this.a[this.depth];
  }

  row(matrix, i) {
    const width = this.sizes[this.depth];
    return matrix.subarray(i * width, (i + 1) * width);
  }

  byRows(rows, rowOf) {
    const width = this.sizes[this.depth], matrix = new Float64Array(rows * width);
    for (let i = 0; i < rows; i++) matrix.set(rowOf(i), i * width);
    return matrix;
  }

  // The mean cost of the batch that feedforward has seen, with targets y.
  meanCost(y) {
    const L = this.depth, rows = y.length / this.sizes[L];
    let total = 0;
    for (let i = 0; i < rows; i++) {
      total += costOf(this.cost, this.activations[L], this.row(this.z[L], i), this.row(this.a[L], i), this.row(y, i));
    }
    return total / rows;
  }

  // The gradient of the mean cost of the batch that feedforward has seen.
  backpropagate(y) {
    const L = this.depth, rows = y.length / this.sizes[L];
    let delta = this.byRows(rows, (i) => firstDelta(                                        // BP1
      this.cost, this.activations[L], this.row(this.z[L], i), this.row(this.a[L], i), this.row(y, i)));
    delta = delta.map((value) => value / rows);
    this.gradient.fill(0);
    for (let l = L; l > 0; l--) {
      const inputs = this.sizes[l - 1], neurons = this.sizes[l], before = this.a[l - 1], w = this.w[l];
      const dw = this.dw[l], db = this.db[l], da = new Float64Array(rows * inputs);
      for (let i = 0; i < rows; i++) {
        for (let j = 0; j < neurons; j++) {
          const delta_j = delta[i * neurons + j];
          db[j] += delta_j;                                                           // BP3
          for (let k = 0; k < inputs; k++) {
            dw[j * inputs + k] += delta_j * before[i * inputs + k];                 // BP4
            da[i * inputs + k] += delta_j * w[j * inputs + k];                      // BP2, first half
          }
        }
      }
      if (l > 1) {
        const z = this.z[l - 1], { prime } = this.activations[l - 1];
        delta = da.map((da_k, k) => da_k * prime(z[k], before[k]));                     // BP2, second half
      }
    }
  }

  // A step of the optimizer on a batch; returns its cost before the step. If the cost or a parameter is not finite, it throws,
  // and the network has the parameters from before the step that led there.
  step(x, y, learningRate) {
    this.feedforward(x);
    const cost = this.meanCost(y), vectors = [this.vector, ...this.state];
    const restore = () => vectors.forEach((vector, place) => vector.set(this.good[place]));
    if (!Number.isFinite(cost)) {
      restore();
      throw new Diverged(`the cost became ${cost}`);
    }
    this.good = vectors.map((vector) => vector.slice());
    this.backpropagate(y);
    const { rule, scalars } = this.optimizer, numbers = scalars(this.steps + 1, learningRate);
    for (let i = 0; i < this.vector.length; i++) {
      const changed = rule(...vectors.map((vector) => vector[i]), this.gradient[i], ...numbers);
      vectors.forEach((vector, place) => { vector[i] = changed[place]; });
    }
    if (!this.vector.every(Number.isFinite)) {
      restore();
      throw new Diverged("a parameter became infinite");
    }
    this.steps++;
    return cost;
  }

  // The label of each row of outputs: the largest output, or for a single one the nearer code.
  labels(outputs) {
    const width = this.sizes[this.depth], middle = 0.5 * sum(this.cost.codes);
    return Array.from({ length: outputs.length / width }, (_, i) => {
      const row = outputs.subarray(i * width, (i + 1) * width);
      return width === 1 ? Number(row[0] > middle) : row.indexOf(Math.max(...row));
    });
  }
}
