"use strict";
(() => {
  const data = JSON.parse(document.getElementById("cell-data").textContent);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const config = { displayModeBar: false, responsive: true, doubleClick: false, showTips: false };
  const drawings = [];

  const layout = (more) => {
    const axis = { gridcolor: colour("line"), linecolor: colour("field"), zeroline: false, automargin: true, color: colour("ink") };
    const { xaxis = {}, yaxis = {}, ...rest } = more;
    return {
      font: { family: "system-ui, sans-serif", size: 12, color: colour("ink") },
      paper_bgcolor: colour("card"), plot_bgcolor: colour("card"), margin: { l: 8, r: 12, t: 8, b: 8 }, dragmode: false,
      hoverlabel: { bgcolor: colour("card"), font: { color: colour("ink") } },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", itemclick: false, itemdoubleclick: false },
      xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis }, ...rest,
    };
  };
  const draw = (id, traces, more) => {
    const node = document.getElementById(id);
    if (!node) return;
    if (traces().every((trace) => trace.y.every((value) => value === null))) {
      node.className = "calm";
      node.removeAttribute("role");
      node.textContent = "Not stated on any of these days.";
      return;
    }
    const paint = () => Plotly.react(node, traces(), layout(more()), config);
    drawings.push(paint);
    paint();
  };
  document.addEventListener("themed", () => drawings.forEach((paint) => paint()));

  // Curves against the threshold.
  const curve = data.curve;
  const thresholds = curve.map((point) => point.threshold);
  const of = (name) => curve.map((point) => point[name]);
  const upright = (x, name, dash) => ({ type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, line: { color: colour("ink"), width: 2, dash } });
  const marks = () => {
    const shapes = [];
    if (data.certified_from !== null) {
      shapes.push({ type: "rect", x0: data.certified_from, x1: 1, yref: "paper", y0: 0, y1: 1, fillcolor: colour("green-soft"), line: { width: 0 }, layer: "below" });
    }
    if (data.remove_at < 1) shapes.push(upright(data.remove_at, "in force", "dot"));
    return shapes;
  };
  const above = { title: { text: "Threshold" }, range: [Math.min(...thresholds, data.remove_at), 1] };
  const share = { tickformat: ".0%", rangemode: "normal" };
  if (curve.length) {
    draw("precision-chart", () => [
      { x: thresholds, y: of("estimate"), name: "Estimate", mode: "lines", line: { color: colour("muted"), width: 1.5 }, hovertemplate: "%{y:.1%} at %{x:.3f}" },
      { x: thresholds, y: of("bound"), name: "Lower limit", mode: "lines", line: { color: colour("blue"), width: 2.5 }, hovertemplate: "%{y:.1%} at %{x:.3f}" },
      { x: above.range, y: [data.target, data.target], name: "Asked for", mode: "lines", line: { color: colour("green"), dash: "dash", width: 1.5 }, hoverinfo: "skip" },
    ], () => ({ shapes: marks(), xaxis: above, yaxis: { ...share, range: [Math.max(0, data.target - 0.35), 1.005] } }));
    draw("recall-chart", () => [
      { x: thresholds, y: of("recall"), name: "Recall", mode: "lines", line: { color: colour("blue"), width: 2 }, hovertemplate: "%{y:.1%} at %{x:.3f}" },
    ], () => ({ shapes: marks(), xaxis: above, yaxis: { ...share, range: [0, 1.005] } }));
    draw("volume-chart", () => [
      { x: thresholds, y: of("removes"), name: "Videos", mode: "lines", line: { color: colour("blue"), width: 2 }, hovertemplate: "%{y:,} at %{x:.3f}" },
    ], () => ({ shapes: marks(), xaxis: above, yaxis: { rangemode: "tozero", tickformat: ",~s" } }));
  }

  // Twelve weeks.
  const days = data.trend.map((day) => day.day);
  const dated = { type: "date", tickformat: "%-d %b", nticks: 6 };
  for (const name of ["precision", "recall", "prevalence"]) {
    const rows = data.trend.map((day) => day[name] ?? [null, null, null]);
    draw(`trend-${name}`, () => [{
      x: days, y: rows.map((row) => row[0]), mode: "lines+markers", name, line: { color: colour("blue"), width: 2 }, showlegend: false,
      error_y: { type: "data", symmetric: false, array: rows.map((row) => row[2] - row[0]), arrayminus: rows.map((row) => row[0] - row[1]), color: colour("field"), thickness: 1, width: 2 },
      hovertemplate: "%{y:.2%}, %{x|%-d %B %Y}",
    }], () => ({ xaxis: dated, yaxis: { tickformat: name === "prevalence" ? ".1%" : ".0%", rangemode: name === "prevalence" ? "tozero" : "normal" } }));
  }
  draw("trend-remove_at", () => [
    { x: days, y: data.trend.map((day) => day.remove_at ?? null), mode: "lines+markers", line: { color: colour("blue"), shape: "hv", width: 2 }, showlegend: false, hovertemplate: "%{y:.3f}, %{x|%-d %B %Y}" },
  ], () => ({ xaxis: dated, yaxis: { tickformat: ".3f" } }));
  draw("trend-labels", () => [
    { x: days, y: data.trend.map((day) => day.labels ?? null), type: "bar", marker: { color: colour("blue") }, showlegend: false, hovertemplate: "%{y:,}, %{x|%-d %B %Y}" },
  ], () => ({ xaxis: dated, yaxis: { rangemode: "tozero", tickformat: ",~s" } }));

  // The slider over the goal.
  const tool = document.getElementById("goals");
  const ask = document.getElementById("ask");
  const slider = document.getElementById("goal");
  const number = (value) => Math.round(value).toLocaleString("en-US");
  const percent = (value) => `${(100 * value).toLocaleString("en-US", { maximumFractionDigits: 1 })}%`;
  const ranged = ([estimate, low, high], shown = number) =>
    low === high ? shown(low) : estimate === null ? `${shown(low)} to ${shown(high)}` : `${shown(estimate)} (${shown(low)} to ${shown(high)})`;
  const time = (minutes) => (minutes < 120 ? `${number(minutes)} min` : `${(minutes / 60).toLocaleString("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 })} h`);
  let goals = [];
  let mark = 0;

  const missing = (goal) =>
    goal.labels === null ? "" : ` About ${number(goal.labels)} more reviewed ${goal.labels === 1 ? "video" : "videos"}, ${time(goal.minutes)} of review, would decide it.`;
  const verdict = (goal) => {
    if (goal.certified) {
      const whom = goal.population === "cell" ? "" : `, together with other markets (${goal.population})`;
      return `Yes. The labels certify it${whom}.`;
    }
    if (!goal.effect) return `No. Not even the estimate reaches it at any score.${missing(goal)}`;
    return `No, not today.${missing(goal) || " More labels alone would not change that."} The amounts below are an estimate alone.`;
  };
  const show = () => {
    const goal = goals[Number(slider.value)];
    document.getElementById("goal-shown").textContent = `${percent(goal.goal).replace("%", "")}`;
    slider.setAttribute("aria-valuetext", `${percent(goal.goal)}, ${goal.certified ? "certified" : "not certified"}`);
    const said = document.getElementById("goal-verdict");
    said.textContent = verdict(goal);
    said.className = `verdict ${goal.certified ? "good" : "warn"}`;
    const facts = document.getElementById("goal-facts");
    facts.className = `facts ${goal.certified ? "" : "estimate"}`;
    facts.replaceChildren();
    const effect = goal.effect;
    const more = effect ? effect.removes - Number(tool.dataset.removes) : 0;
    const rows = effect ? [
      ["Removed a day", `${number(effect.removes)}${more ? ` (${more > 0 ? "+" : "−"}${number(Math.abs(more))})` : ""}`],
      ["Of them wrong", ranged(effect.wrong)],
      ["Violative views prevented", ranged(effect.views)],
      ["Review a day", time(effect.minutes)],
      ["Of what violates, removed", ranged(effect.recall, percent)],
    ] : [];
    for (const [name, value] of rows) {
      const row = document.createElement("div");
      for (const [tag, text] of [["dt", name], ["dd", value]]) {
        const node = document.createElement(tag);
        node.textContent = text;
        row.append(node);
      }
      facts.append(row);
    }
    const chart = document.getElementById("goal-chart");
    cancelAnimationFrame(mark); // the words come at once, the chart's mark with the next picture
    mark = requestAnimationFrame(() => {
      if (chart.layout) Plotly.relayout(chart, { "shapes[0].x0": goal.goal, "shapes[0].x1": goal.goal });
    });
  };

  const drawGoals = () => {
    const part = (certified) => goals.map((goal) => (goal.effect && goal.certified === certified ? goal.effect.removes : null));
    const joined = goals.map((goal) => (goal.effect ? goal.effect.removes : null));
    const x = goals.map((goal) => goal.goal);
    draw("goal-chart", () => [
      { x, y: joined, name: "Estimate alone", mode: "lines", line: { color: colour("field"), dash: "dash", width: 2 }, hovertemplate: "%{y:,} at a goal of %{x:.1%}" },
      { x, y: part(true), name: "Certified", mode: "lines+markers", line: { color: colour("green"), width: 3 }, marker: { size: 6 }, hovertemplate: "%{y:,} at a goal of %{x:.1%}, certified" },
    ], () => ({
      shapes: [upright(goals[Number(slider.value)].goal, "goal", "solid")],
      xaxis: { title: { text: "Goal" }, tickformat: ".0%" }, yaxis: { rangemode: "tozero", tickformat: ",~s" },
    }));
  };

  window.plumbline = {
    conf: (form, button) => form.id !== "ask" ? null : {
      policies: [form.dataset.policy], markets: [form.dataset.market], goal: "own",
      precision_percent: Number((100 * goals[Number(slider.value)].goal).toFixed(4)),
      mode: button.value, reason: form.elements.reason.value,
    },
  };

  fetch(tool.dataset.from, { credentials: "same-origin", headers: { Accept: "application/json" } })
    .then((response) => response.json().then((body) => (response.ok ? body : Promise.reject(new Error(body.detail)))))
    .then((found) => {
      goals = found;
      slider.max = String(goals.length - 1);
      const target = Number(tool.dataset.target);
      slider.value = String(goals.reduce((best, goal, at) => (Math.abs(goal.goal - target) < Math.abs(goals[best].goal - target) ? at : best), 0));
      document.getElementById("goal-wait").hidden = true;
      document.getElementById("goal-tool").hidden = false;
      drawGoals();
      show();
      slider.addEventListener("input", show);
      if (ask) ask.querySelectorAll("button").forEach((button) => { button.disabled = false; });
    })
    .catch((error) => { document.getElementById("goal-wait").textContent = `The goals could not be worked out: ${error.message}`; });
})();
