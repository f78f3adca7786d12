// Steps through circuits: each <section class="circuit"> of the page, with its buttons, its picture and its table.
{
  const PAUSE = 1500, ROOM = 90;   // milliseconds between steps, pixels for the numbers beside a gate
  const KEYS = { ArrowLeft: "Back", ArrowRight: "Next", Home: "First", End: "Last" };

  // as Python's format .4g, which rounds exact halves to even
  const shown = x => {
    if (!Number.isFinite(x)) return String(x).replace("Infinity", "inf").replace("NaN", "nan");
    const half = x.toExponential(60).match(/^(.*\.\d\d[02468])50*(e.*)$/);
    const [digits, exponent] = (half ? half[1] + half[2] : x.toExponential(3)).split("e");
    if (exponent < -4 || exponent > 3) {
      return `${Number(digits)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
    }
    return Object.is(x, -0) ? "-0" : String(Number(`${digits}e${exponent}`));
  };

  const starts = section => {
    const { nodes, computes, backward } = data[section.dataset.circuit], seed = Number(data[section.dataset.circuit].seed);
    const functions = globalThis.circuits?.[section.dataset.circuit];
    const all = selector => [...section.querySelectorAll(selector)];
    const boxes = all(".boxes > g"), rows = all("tbody tr"), fields = all("input"), play = section.querySelector("[data-step=Play]");
    const cells = { value: [all(".values text"), all("td.value")], gradient: [all(".gradients text"), all("td.gradient")] };
    const words = { value: cells.value[1].map(cell => cell.textContent), gradient: cells.gradient[1].map(cell => cell.textContent) };
    const last = nodes.length - 1;
    const gates = nodes.map((node, i) => i).filter(i => nodes[i].sources.length > 0);
    const uses = nodes.map((node, i) => nodes.reduce((count, other) => count + other.sources.filter(j => j === i).length, 0));
    const forward = gates.map(i => ({ gate: i, tells: () => computed(i) }));
    const back = [{ gate: last, begins: true, tells: () => `The gradient of ${nodes[last].name} is ${told("gradient", last, seed)}.` },
                  ...gates.toReversed().map(i => ({ gate: i, tells: () => sentBack(i) }))];
    const steps = [{ gate: -1, tells: () => "The inputs have their values. The next step is the first gate." },
                   ...forward, ...(computes || backward ? back : [])];
    let values = [], sent = [], step = 0, timer = null;

    const told = (kind, i, x) => computes ? shown(x) : words[kind][i];

    // the values, and sent[i]: what each gate sends back, in the order of Python's backward pass
    const compute = () => {
      values = nodes.map(() => 0);
      for (const field of fields) values[field.dataset.node] = Number(field.value);
      for (const i of gates) values[i] = functions[nodes[i].functions[0]](...nodes[i].sources.map(j => values[j]));
      const sums = [];
      sums[last] = seed;
      for (const i of gates.toReversed()) {
        sent[i] = nodes[i].sources.map((to, k) => {
          const rule = functions[nodes[i].functions[k + 1]], inputs = nodes[i].sources.map(j => values[j]);
          const [local, gradient] = [1, sums[i]].map(cotangent => rule(cotangent, values[i], ...inputs));
          const before = sums[to];
          sums[to] = before === undefined ? gradient : before + gradient;
          return { to, local, gradient, incoming: sums[i], before, after: sums[to] };
        });
      }
    };

    const inBrackets = (text, before, after) =>
      text.startsWith("-") && (/[-+*\/%]\s*$/.test(before) || /^ (\*\*|%)/.test(after)) ? `(${text})` : text;

    const computed = i => {
      if (!computes) return `${nodes[i].line}: ${words.value[i]}`;
      const { sources, parts, line } = nodes[i];
      const numbers = sources.map((j, k) => inBrackets(shown(values[j]), parts[k], parts[k + 1]) + parts[k + 1]);
      return `${line} = ${parts[0]}${numbers.join("")} = ${shown(values[i])}`;
    };

    const sentBack = i => {
      const given = seen(step).given, told = nodes[i].sources.map((to, k) => {
        const waits = uses[to] - given[to], name = nodes[to].name;
        const rest = waits > 0 ? ` (${name} has ${waits} more ${waits > 1 ? "uses" : "use"} to come)` : "";
        if (!computes) return waits > 0 ? `to ${name}${rest}` : `to ${name}, whose gradient is ${words.gradient[to]}`;
        const { local, gradient, incoming, before, after } = sent[i][k];
        const [x, y, z] = [local, incoming, gradient].map(shown);
        return `to ${name}, ${x} times ${y} = ${z}${before === undefined ? "" : `, added to ${shown(before)}: ${shown(after)}`}${rest}`;
      });
      return `${nodes[i].line} sends back: ${told.join("; ")}.`;
    };

    // after a step: whether each value is known, each gradient so far, and how many uses have given a part of it
    const seen = step => {
      const known = nodes.map(node => node.sources.length === 0), sums = nodes.map(() => null), given = nodes.map(() => 0);
      steps.slice(1, step + 1).forEach(({ gate, begins }, k) => {
        if (k < gates.length) known[gate] = true;
        else if (begins) sums[gate] = seed;
        else nodes[gate].sources.forEach((to, k) => {
          given[to] += 1;
          if (computes) sums[to] = sent[gate][k].after;
          else if (given[to] === uses[to]) sums[to] = 1;
        });
      });
      return { known, sums, given };
    };

    const show = (kind, i, isSeen, x) => {
      for (const cell of cells[kind].map(column => column[i]).filter(Boolean)) {
        cell.toggleAttribute("data-unseen", !isSeen);
        if (computes) cell.textContent = isSeen ? shown(x) : "";
        if (computes && cell.tagName === "TD") cell.title = isSeen ? String(Object.is(x, -0) ? "-0" : x) : "";   // all digits
      }
    };

    const render = () => {
      const { gate, tells } = steps[step], { known, sums } = seen(step);
      nodes.forEach((node, i) => {
        show("value", i, known[i], values[i]);
        show("gradient", i, sums[i] !== null, sums[i]);
        boxes[i].classList.toggle("at-work", i === gate);
        rows[i].classList.toggle("at-work", i === gate);
      });
      section.querySelector(".now").textContent = tells();
      section.querySelector(".controls .faint").textContent = `step ${step} of ${steps.length - 1}`;
      for (const [name, end] of [["First", 0], ["Back", 0], ["Next", steps.length - 1], ["Last", steps.length - 1]]) {
        section.querySelector(`[data-step=${name}]`).setAttribute("aria-disabled", step === end);   // it keeps the focus
      }
    };

    const scroll = gate => {   // only the picture's own box
      const wide = section.querySelector(".wide"), box = boxes[gate].getBoundingClientRect(), frame = wide.getBoundingClientRect();
      if (box.left < frame.left || box.right + ROOM > frame.right) wide.scrollLeft += box.left - frame.left - frame.width / 3;
    };

    const pause = () => {
      clearInterval(timer);
      timer = null;
      play.textContent = "Play";
    };
    const go = to => {
      step = Math.min(Math.max(to, 0), steps.length - 1);
      if (step === steps.length - 1) pause();
      render();
      scroll(Math.max(steps[step].gate, 0));
    };
    const act = name => {
      const playing = timer !== null;
      pause();
      if (name === "Play" && !playing) {
        play.textContent = "Pause";
        timer = setInterval(() => go(step + 1), PAUSE);
        go(step === steps.length - 1 ? 0 : step + 1);
      } else if (name !== "Play") go({ First: 0, Back: step - 1, Next: step + 1, Last: steps.length - 1 }[name]);
    };

    for (const button of all("[data-step]")) button.addEventListener("click", () => act(button.dataset.step));
    for (const field of fields) {
      field.addEventListener("input", () => {
        const wrong = fields.filter(x => x.value.trim() === "" || (Number.isNaN(Number(x.value)) && x.value !== "NaN"));
        for (const x of fields) x.setAttribute("aria-invalid", wrong.includes(x));
        if (wrong.length > 0) section.querySelector(".now").textContent = `${nodes[wrong[0].dataset.node].name} needs a number.`;
        else [compute, render].forEach(run => run());
      });
    }
    // a page that has only this circuit takes the keys also while nothing has the focus
    document.addEventListener("keydown", event => {
      const ours = section.contains(event.target) || (event.target === document.body && section.matches("h1 + :last-child"));
      if (!ours || !(event.key in KEYS) || event.target.tagName === "INPUT" || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      act(KEYS[event.key]);
    });
    if (computes) compute();
    render();
  };

  document.querySelectorAll(".circuit").forEach(starts);
}
