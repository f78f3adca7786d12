// The derivatives of the small network: which factors the chosen ones share, and the multiplications that this saves.
{
  const buttons = [...document.querySelectorAll("#chain button")];
  const { values, derivatives } = data.chain;
  const sum = numbers => numbers.reduce((total, number) => total + number, 0);

  // a derivative as a sum of products, and its value
  function written(name) {
    const { products } = derivatives[name];
    const value = sum(products.map(factors => factors.reduce((result, factor) => result * values[factor], 1)));
    return `${name} = ${products.map(factors => factors.join(" * ")).join(" + ")} = ${value.toFixed(6)}. `;
  }

  function show(latest) {
    const chosen = buttons.filter(button => button.getAttribute("aria-pressed") === "true")
      .map(button => derivatives[button.textContent]);
    const products = chosen.flatMap(derivative => derivative.products);
    const used = new Set(products.flat());
    for (const span of document.querySelectorAll("#chain-factors span")) {
      const lit = used.has(span.dataset.factor);
      span.style.fontWeight = lit ? "bold" : "normal";
      span.style.opacity = lit ? 1 : 0.7;
      span.style.borderBottom = lit ? "3px solid" : "3px solid transparent";
    }
    // each product by itself, or each delta once and one more multiplication for each weight
    const writtenOut = sum(products.map(factors => factors.length - 1));
    const deltas = Object.assign({}, ...chosen.map(derivative => derivative.deltas));
    const shared = sum(Object.values(deltas)) + chosen.length;
    document.getElementById("chain-text").textContent = (latest ? written(latest) : "") +
      `Chosen: ${chosen.length} of ${buttons.length} derivatives. Multiplications: ${writtenOut} written out, ${shared} if each delta ` +
      `is computed once; saved: ${writtenOut - shared}.`;
  }

  for (const button of buttons)
    button.addEventListener("click", () => {
      const press = button.getAttribute("aria-pressed") === "false";
      button.setAttribute("aria-pressed", press);
      show(press && button.textContent);
    });
  show();
}
