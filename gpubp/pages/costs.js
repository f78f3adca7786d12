// Every cost with every output activation, by the equations of network.js and the formulas of the tables.

// Outputs depend on each other if the cost is relative, or in softmax.
const needsTwo = (cost, activation) => cost.relative || !activation.sigma;

// The first output of a sample. Where outputs depend on each other there is a second one, with z = 0 and the other target.
const costAt = (costName, outputName, z, y) => {
  const cost = formulas.costs[costName], activation = formulas.activations[outputName];
  const outputs = needsTwo(cost, activation) ? 2 : 1;
  const zs = [z, 0].slice(0, outputs), ys = [y, sum(cost.codes) - y].slice(0, outputs), as = activate(activation, zs);
  const [C, das, deltas] = [costOf, gradientOf, firstDelta].map(compute => compute(cost, activation, zs, as, ys));
  return { outputs, a: as[0], C, "dC/da": das[0], delta: deltas[0] };
};

{
  const element = name => document.getElementById(`costs-${name}`);
  const [cost, output, target, weighted] = ["cost", "output", "y", "z"].map(element);
  const LOW = -10, HIGH = 10, WIDTH = 300, HEIGHT = 180, LIMIT = 20;
  const curves = { C: "--blue", "dC/da": "--orange", delta: "--green" };
  const places = Array.from({ length: 401 }, (_, i) => LOW + (HIGH - LOW) * i / 400);
  const across = z => WIDTH * (z - LOW) / (HIGH - LOW);

  function fill(select, names, chosen) {
    select.replaceChildren(...names.map(name => new Option(name, name, false, name === chosen)));
  }

  // the picture of one quantity by z, with a point at the chosen z
  function curve(name, points, z, now) {
    const values = points.map(point => point[name]).filter(Number.isFinite);
    const low = Math.max(Math.min(0, ...values), -LIMIT), high = Math.min(Math.max(0, ...values), LIMIT);
    const up = value => HEIGHT - 10 - (HEIGHT - 20) * (value - low) / (high - low || 1);
    const within = value => Math.min(Math.max(up(value), -HEIGHT), 2 * HEIGHT).toFixed(2);
    const line = points.map((point, i) => Number.isFinite(point[name])
      ? `${across(places[i]).toFixed(2)},${within(point[name])}` : "").join(" ");
    const label = `${name} by z from ${LOW} to ${HIGH}, from ${low.toPrecision(3)} to ${high.toPrecision(3)}`;
    const mark = Number.isFinite(now[name])
      ? `<circle cx="${across(z)}" cy="${within(now[name])}" r="5" fill="var(${curves[name]})"/>` : "";
    return `<figure style="margin: 0"><figcaption><strong>${name}</strong> by z: ${low.toPrecision(3)} to ` +
      `${high.toPrecision(3)}</figcaption><svg role="img" aria-label="${label}" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="100%">` +
      `<path d="M0 ${up(0)}H${WIDTH}M${across(0)} 0V${HEIGHT}" stroke="var(--rule)"/>` +
      `<polyline points="${line}" fill="none" stroke="var(${curves[name]})" stroke-width="2.5"/>${mark}</svg></figure>`;
  }

  function show() {
    const y = Number(target.value), z = Number(weighted.value), now = costAt(cost.value, output.value, z, y);
    const points = places.map(place => costAt(cost.value, output.value, place, y));
    element("curves").innerHTML = Object.keys(curves).map(name => curve(name, points, z, now)).join("");
    const rows = { "target y": y, z, a: now.a, C: now.C, "dC/da": now["dC/da"], "delta = dC/dz": now.delta };
    element("numbers").innerHTML = `<table>${Object.entries(rows).map(([name, value]) =>
      `<tr><td>${name}</td><td>${value}</td></tr>`).join("")}</table>`;
    const { partner, codes } = formulas.costs[cost.value];
    element("note").textContent = (partner === output.value ? "This is the partner: delta is a - y. " : "") + (now.outputs === 2
      ? `The outputs depend on each other: a second one has z = 0 and the target ${+(sum(codes) - y).toFixed(2)}.` : "");
  }

  // the targets that the cost allows; a relative cost takes only its two codes
  function chooseOutput() {
    const { relative, codes } = formulas.costs[cost.value];
    const two = needsTwo(formulas.costs[cost.value], formulas.activations[output.value]);
    const [low, high] = data.costs[cost.value].targets[two ? 1 : 0];
    Object.assign(target, { min: low, max: high, step: relative ? high - low : 0.01, value: Math.min(high, codes[1]) });
    show();
  }

  function chooseCost() {
    const facts = data.costs[cost.value];
    fill(output, facts.outputs, facts.outputs.includes(output.value) ? output.value : facts.output);
    element("formula").innerHTML = facts.formula;
    chooseOutput();
  }

  fill(cost, Object.keys(data.costs), "quadratic");
  cost.addEventListener("change", chooseCost);
  output.addEventListener("change", chooseOutput);
  for (const slider of [target, weighted]) slider.addEventListener("input", show);
  fill(output, data.costs.quadratic.outputs, "sigmoid");
  chooseCost();
}
