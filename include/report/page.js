"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const config = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };

  const draw = (node) => {
    const figure = charts.figures[node.id];
    if (!node.dataset.drawn) {
      node.dataset.drawn = "yes";
      Plotly.newPlot(node, figure.data, { ...figure.layout, template: charts.template }, config);
    } else {
      Plotly.Plots.resize(node);
    }
  };
  const nodes = [...document.querySelectorAll(".chart")];
  const visible = (node) => node.offsetParent !== null;
  const observer = new IntersectionObserver(
    (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => draw(entry.target)),
    { rootMargin: "500px" },
  );
  nodes.forEach((node) => observer.observe(node));
  window.addEventListener("beforeprint", () => nodes.filter(visible).forEach(draw));

  document.querySelectorAll("select.chooser").forEach((chooser) => {
    const choose = () => {
      for (const option of chooser.options) {
        document.getElementById(option.value).hidden = !option.selected;
      }
    };
    chooser.addEventListener("change", choose);
    choose();
  });
})();
