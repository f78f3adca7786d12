// Gradient descent on the cost of a neuron with two weights, from a start that can be moved. data.surfaces has the samples by
// name; surfaceFormulas has, from the tables, the activations of the same names, and the cost.
const surface = (() => {
  const NODES = 97, LEVELS = 16, STEP = 0.02;   // STEP: of an arrow key, as a share of the drawn part
  const CLOSE = 1e-3, FLAT = 1e-6;   // costs that look the same, relative to all heights; a gradient that is almost 0

  /** The cost at the weights w, and its gradient, averaged over the samples. */
  const look = (name, w) => {
    const { x, y } = data.surfaces[name], { sigma, prime } = surfaceFormulas[name], costOf = surfaceFormulas.cost;
    let cost = 0, slope1 = 0, slope2 = 0;
    x.forEach(([x1, x2], i) => {
      const z = w[0] * x1 + w[1] * x2, a = sigma(z);
      const delta = costOf.prime(a, y[i]) * prime(z, a);
      cost += costOf.value(a, y[i]);
      slope1 += delta * x1;
      slope2 += delta * x2;
    });
    return { cost: cost / x.length, gradient: [slope1 / x.length, slope2 / x.length] };
  };

  /** The weights at the start and after each step of gradient descent. */
  const path = (name, start, rate, steps) => {
    const points = [start];
    for (let step = 0; step < steps; step++) {
      const w = points[step], { gradient } = look(name, w);
      points.push([w[0] - rate * gradient[0], w[1] - rate * gradient[1]]);
    }
    return points;
  };

  /** The costs at the nodes of a grid over the drawn part, row by row from its lower left corner; made once for each name. */
  const grids = {};
  const grid = (name) => {
    const { low, high } = data.surfaces[name], at = (axis, i) => low[axis] + (high[axis] - low[axis]) * i / (NODES - 1);
    return grids[name] ??= Array.from({ length: NODES }, (_, j) =>
      Float64Array.from({ length: NODES }, (_, i) => look(name, [at(0, i), at(1, j)]).cost));
  };

  const extremes = (name) => {
    const costs = grid(name).map((row) => [Math.min(...row), Math.max(...row)]);
    return [Math.min(...costs.map(([low]) => low)), Math.max(...costs.map(([, high]) => high))];
  };

  /** Line segments [i, j, i, j], in nodes, where the cost is `level`: in each cell, between the edges that cross it. */
  const contour = (costs, level) => {
    const lines = [];
    for (let j = 0; j + 1 < NODES; j++) {
      for (let i = 0; i + 1 < NODES; i++) {
        const corners = [[i, j], [i + 1, j], [i + 1, j + 1], [i, j + 1]], ends = [];
        corners.forEach(([i1, j1], k) => {
          const [i2, j2] = corners[(k + 1) % 4], from = costs[j1][i1] - level, to = costs[j2][i2] - level;
          if (from < 0 !== to < 0) {
            const t = from / (from - to);
            ends.push(i1 + t * (i2 - i1), j1 + t * (j2 - j1));
          }
        });
        for (let k = 0; k < ends.length; k += 4) lines.push(ends.slice(k, k + 4));
      }
    }
    return lines;
  };

  /** What a path means, in words. */
  const verdict = (name, costs, end, lowest) => {
    const last = costs.length - 1, [least, most] = extremes(name), visible = CLOSE * (most - least);
    const rises = costs.filter((cost, i) => i && cost > costs[i - 1]).length;
    if (costs[last] > costs[0] + visible) return "It diverged: the cost is higher at the end than at the start.";
    if (costs[last] < lowest + visible) return "It did not diverge, and the end is as low as the lowest point F.";
    if (Math.hypot(...look(name, end).gradient) < FLAT) {
      return "It did not diverge, but it stopped above the lowest cost: the gradient is almost 0 in a wrong valley or on a plateau.";
    }
    return rises ? `It did not diverge, but ${rises} of ${last} steps raised the cost: the learning rate is too large.`
      : "It did not diverge, and it is still on its way down: take more steps or another learning rate.";
  };

  const mount = (root) => {
    const [canvas, select] = ["canvas", "select"].map((tag) => root.querySelector(tag)), pen = canvas.getContext("2d");
    const named = (name) => root.querySelector(`[name=${name}]`), rate = named("rate"), steps = named("steps");
    const rows = [...root.querySelectorAll("tbody tr")].map((row) => [...row.cells].slice(1));
    let name, start, ground, scheduled = false;

    const color = (variable) => getComputedStyle(root).getPropertyValue(variable).trim();
    const place = ([w1, w2]) => {   // of weights on the canvas
      const { low, high } = data.surfaces[name];
      return [(w1 - low[0]) / (high[0] - low[0]) * canvas.width, (high[1] - w2) / (high[1] - low[1]) * canvas.height];
    };

    /** The surface without a path, on a canvas of its own: darker blue is lower. */
    const groundOf = () => {
      const small = document.createElement("canvas"), whole = document.createElement("canvas");
      const costs = grid(name), [least, most] = extremes(name), brush = small.getContext("2d"), page = whole.getContext("2d");
      small.width = small.height = NODES;
      whole.width = canvas.width, whole.height = canvas.height;
      brush.fillStyle = color("--blue");
      costs.forEach((row, j) => row.forEach((cost, i) => {
        brush.globalAlpha = 0.85 * (1 - Math.sqrt((cost - least) / (most - least)));
        brush.fillRect(i, NODES - 1 - j, 1, 1);
      }));
      const across = whole.width / (NODES - 1), up = whole.height / (NODES - 1);
      page.fillStyle = color("--card");
      page.fillRect(0, 0, whole.width, whole.height);
      page.drawImage(small, -across / 2, -up / 2, across * NODES, up * NODES);
      page.strokeStyle = color("--ink");
      page.globalAlpha = 0.4;
      page.beginPath();
      for (let level = 1; level < LEVELS; level++) {
        for (const [i, j, k, l] of contour(costs, least + (most - least) * (level / LEVELS) ** 2)) {
          page.moveTo(i * across, whole.height - j * up);
          page.lineTo(k * across, whole.height - l * up);
        }
      }
      page.stroke();
      return whole;
    };

    const mark = (point, text, fill, scale, down = -8) => {   // the text stands above it, or below
      const [x, y] = place(point);
      pen.fillStyle = fill, pen.strokeStyle = color("--ink"), pen.lineWidth = 2 * scale;
      pen.beginPath();
      pen.arc(x, y, 6 * scale, 0, 2 * Math.PI);
      pen.fill(), pen.stroke();
      pen.font = `bold ${15 * scale}px system-ui, sans-serif`, pen.lineWidth = 4 * scale, pen.strokeStyle = color("--paper");
      pen.strokeText(text, x + 9 * scale, y + down * scale);
      pen.fillStyle = color("--ink");
      pen.fillText(text, x + 9 * scale, y + down * scale);
    };

    const show = () => {
      scheduled = false;
      const scale = window.devicePixelRatio || 1, width = Math.round(canvas.clientWidth * scale);
      if (canvas.width !== width || !ground) {
        canvas.width = width, canvas.height = Math.round(0.7 * width);
        ground = groundOf();
      }
      const { lowest } = data.surfaces[name], speed = 10 ** rate.value, points = path(name, start, speed, Number(steps.value));
      const costs = points.map((w) => look(name, w).cost), end = points[points.length - 1], least = look(name, lowest).cost;
      pen.drawImage(ground, 0, 0);
      pen.strokeStyle = pen.fillStyle = color("--red"), pen.lineWidth = 2 * scale;
      pen.beginPath();
      points.forEach((w, i) => pen[i ? "lineTo" : "moveTo"](...place(w)));
      pen.stroke();
      for (const w of points) {
        pen.beginPath();
        pen.arc(...place(w), 3 * scale, 0, 2 * Math.PI);
        pen.fill();
      }
      mark(lowest, "F", color("--green"), scale);
      if (points.length > 1) mark(end, "end", color("--red"), scale, 20);
      mark(start, "A", color("--paper"), scale);
      named("rate-text").value = speed.toPrecision(3), named("steps-text").value = steps.value;
      [[...start, costs[0]], [...end, costs[costs.length - 1]], [...lowest, least]].forEach((values, row) =>
        values.forEach((value, k) => { rows[row][k].textContent = value.toFixed(k < 2 ? 3 : 5); }));
      root.querySelector(".verdict").textContent = verdict(name, costs, end, least);
      const text = (w) => w.map((value) => value.toFixed(2)).join(", ");
      canvas.setAttribute("aria-label", `Map of the cost over the weights w1 and w2. Gradient descent from A at ${text(start)} to ` +
        `${text(end)}; the lowest point F is at ${text(lowest)}. Move A with the arrow keys, in small steps with Shift.`);
    };

    const later = () => {   // draws once for all events of a frame
      if (!scheduled) requestAnimationFrame(show);
      scheduled = true;
    };
    const repaint = () => {
      ground = null;
      later();
    };
    const reset = () => {
      name = select.value;
      const given = data.surfaces[name];
      start = given.start, rate.value = Math.log10(given.rate), steps.value = given.steps;
      repaint();
    };
    const moveTo = (w) => {   // not out of the drawn part
      const { low, high } = data.surfaces[name];
      start = w.map((value, k) => Math.min(Math.max(value, low[k]), high[k]));
      later();
    };
    const drag = (event) => {
      const { low, high } = data.surfaces[name], box = canvas.getBoundingClientRect();
      moveTo([low[0] + (event.clientX - box.left) / box.width * (high[0] - low[0]),
              high[1] - (event.clientY - box.top) / box.height * (high[1] - low[1])]);
    };
    const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] };

    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      drag(event);
    });
    canvas.addEventListener("pointermove", (event) => { if (canvas.hasPointerCapture(event.pointerId)) drag(event); });
    canvas.addEventListener("keydown", (event) => {
      if (!(event.key in ARROWS)) return;
      event.preventDefault();
      const { low, high } = data.surfaces[name], share = event.shiftKey ? STEP / 10 : STEP;
      moveTo(start.map((value, k) => value + share * ARROWS[event.key][k] * (high[k] - low[k])));
    });
    for (const input of [rate, steps]) input.addEventListener("input", later);
    select.addEventListener("change", reset);
    root.querySelector("button").addEventListener("click", reset);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
    new ResizeObserver(later).observe(canvas);
    reset();
  };

  document.querySelectorAll(".surface").forEach(mount);
  return { look, path };
})();
