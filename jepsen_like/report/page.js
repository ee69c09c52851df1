"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const all = data.operations;
  const ALL_KEYS = "(all keys)";
  const DASHES = { ok: "solid", fail: "dot", info: "dash" };
  const COLOURS = ["#1f6fb2", "#c05621", "#2b8a3e", "#7b3fa0", "#0b7285", "#a61e4d", "#5c5f66", "#946200"];
  const FAULT_COLOURS = ["#e8590c", "#5f3dc4", "#087f5b", "#c2255c", "#495057", "#1864ab"];
  const HOVER_MAX = 20000;
  const kinds = [...new Set(data.faults.map((fault) => fault.kind))];

  const bands = () => data.faults.map((fault) => ({
    type: "rect", xref: "x", yref: "paper", layer: "below",
    x0: fault.from, x1: Math.max(fault.to, fault.from + data.length / 500), y0: 0, y1: 1,
    fillcolor: FAULT_COLOURS[kinds.indexOf(fault.kind) % FAULT_COLOURS.length],
    opacity: 0.1, line: { width: 0 },
  }));

  // A fault says what it is when the pointer is at its mark above the plot.
  const faultMarks = () => kinds.map((kind, place) => {
    const faults = data.faults.filter((fault) => fault.kind === kind);
    return {
      type: "scatter", mode: "markers", name: escaped(kind), yaxis: "y2",
      x: faults.map((fault) => fault.from), y: faults.map(() => 1),
      text: faults.map((fault) =>
        `${escaped(kind)} ${escaped(fault.nodes)}<br>${fault.from} to ${fault.to} ${data.unit}` +
        (fault.detail ? `<br>${escaped(fault.detail)}` : "")),
      hovertemplate: "%{text}<extra></extra>",
      marker: { symbol: "triangle-down", size: 11, color: FAULT_COLOURS[place % FAULT_COLOURS.length] },
    };
  });

  const layout = (title, more) => ({
    height: 340, margin: { l: 70, r: 44, t: 24, b: 45 }, hovermode: "closest",
    modebar: { orientation: "v" },  // in the right margin: above the plot is the legend
    xaxis: { title: { text: data.unit === "ms" ? "time (ms)" : "position in the log" }, range: [0, data.length * 1.01] },
    yaxis: { title: { text: title }, rangemode: "tozero", domain: [0, 0.94] },
    yaxis2: { domain: [0.96, 1], visible: false, fixedrange: true, range: [0, 2] },
    shapes: bands(), legend: { orientation: "h", y: 1.12 }, ...more,
  });
  const settings = { responsive: true, displaylogo: false };

  function escaped(text) {
    return text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  }

  function told(row) {
    const parts = [
      `<b>${escaped(all.functions[all.f[row]])}</b> ${escaped(all.keys[all.key[row]])}`,
      `argument ${escaped(all.argument[row])}`,
      `result ${escaped(all.result[row])}`,
      `${all.called[row]} to ${all.outcomes[all.outcome[row]] === "info" ? "?" : all.returned[row]} ${data.unit}`,
      `process ${all.process[row]} ${escaped(all.nodes[all.node[row]])}, ${all.outcomes[all.outcome[row]]}`,
    ];
    if (all.error[row]) parts.push(escaped(all.error[row]));
    return parts.join("<br>");
  }

  function timeline(key, byNode) {
    const shown = [];
    for (let row = 0; row < all.key.length; row++) {
      if (key === ALL_KEYS || all.keys[all.key[row]] === key) shown.push(row);
    }
    const lanes = new Map();
    const laneName = (row) => byNode ? all.nodes[all.node[row]] || "(unknown)" : `${all.process[row]}`;
    const names = [...new Set(shown.map(laneName))];
    if (!byNode) names.sort((a, b) => Number(a) - Number(b));
    names.forEach((name, place) => lanes.set(name, place));
    const groups = new Map();
    for (const row of shown) {
      const name = `${all.functions[all.f[row]]} ${all.outcomes[all.outcome[row]]}`;
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(row);
    }
    const traces = [];
    for (const [name, rows] of [...groups].sort()) {
      const colour = COLOURS[all.f[rows[0]] % COLOURS.length];
      const x = [], y = [], text = [];
      for (const row of rows) {
        const lane = lanes.get(laneName(row));
        x.push(all.called[row], all.returned[row], null);
        y.push(lane, lane, null);
        if (shown.length <= HOVER_MAX) { const about = told(row); text.push(about, about, ""); }
      }
      traces.push({
        type: "scattergl", mode: "lines+markers", name, x, y, text,
        hovertemplate: shown.length <= HOVER_MAX ? "%{text}<extra></extra>" : `${escaped(name)} at %{x}<extra></extra>`,
        line: { color: colour, width: name.endsWith(" info") ? 1 : shown.length > 2000 ? 2 : 5, dash: DASHES[name.split(" ").pop()] || "solid" },
        marker: { color: colour, size: shown.length > 2000 ? 3 : 6 },
      });
    }
    const marked = shown.filter((row) => all.marked[row]);
    if (marked.length) {
      traces.push({
        type: "scattergl", mode: "markers", name: "witness",
        x: marked.map((row) => (all.called[row] + all.returned[row]) / 2),
        y: marked.map((row) => lanes.get(laneName(row))),
        text: marked.map(told), hovertemplate: "%{text}<extra>witness</extra>",
        marker: { symbol: "circle-open", size: 20, color: "#b3261e", line: { width: 3 } },
      });
    }
    traces.push(...faultMarks());
    const rows = Math.min(names.length, 40);
    Plotly.react("timeline", traces, layout(byNode ? "node" : "process", {
      height: Math.max(340, 110 + 24 * rows),
      yaxis: {
        title: { text: byNode ? "node" : "process" }, domain: [0, 0.94],
        tickvals: names.length <= 60 ? names.map((_, place) => place) : undefined,
        zeroline: false, ticktext: names.length <= 60 ? names : undefined, range: [-0.7, names.length - 0.3],
      },
    }), settings);
    document.getElementById("count").textContent =
      `${shown.length.toLocaleString("en")} operations` +
      (shown.length > HOVER_MAX ? "; choose a key to see the values of each" : "");
  }

  const keyChoice = document.getElementById("key");
  const laneChoice = document.getElementById("lane");
  const counts = new Map();
  for (const number of all.key) counts.set(number, (counts.get(number) || 0) + 1);
  for (const [number, text] of all.keys.entries()) {
    keyChoice.add(new Option(`${text} (${counts.get(number)})`, text));
  }
  if (all.keys.length > 1) keyChoice.add(new Option(`${ALL_KEYS} (${all.key.length})`, ALL_KEYS), 0);
  keyChoice.value = all.keys.includes(data.show) ? data.show
    : all.key.length <= HOVER_MAX || !all.keys.length ? keyChoice.options[0]?.value || "" : all.keys[0];
  const draw = () => timeline(keyChoice.value, laneChoice.value === "node");
  keyChoice.addEventListener("change", draw);
  laneChoice.addEventListener("change", draw);
  draw();

  const rates = data.throughput;
  const rateColours = { ok: "#1f7a4d", fail: "#8a6100", info: "#b3261e" };
  Plotly.newPlot("throughput", [
    ...["ok", "fail", "info"].map((name) => ({
      type: "scatter", mode: "lines", name, x: rates.at, y: rates[name],
      line: { color: rateColours[name], shape: "hv" },
    })),
    ...faultMarks(),
  ], layout(data.unit === "ms" ? "operations per second" : "operations"), settings);

  Plotly.newPlot("latency", [
    ...data.latencies.flatMap((latency, place) => ["p50", "p99"].map((name) => ({
      type: "scatter", mode: "lines+markers", name: `${latency.f} ${name}`, x: latency.at, y: latency[name],
      marker: { size: 4 },
      line: { color: COLOURS[place % COLOURS.length], dash: name === "p99" ? "dot" : "solid" },
    }))),
    ...faultMarks(),
  ], layout("ms", { yaxis: { title: { text: "latency (ms)" }, type: "log", domain: [0, 0.94] } }), settings);

  if (data.staleness.length) {
    Plotly.newPlot("staleness", [{ type: "histogram", x: data.staleness, nbinsx: 60, marker: { color: "#1f6fb2" } }], {
      height: 300, margin: { l: 70, r: 44, t: 10, b: 45 }, modebar: { orientation: "v" },
      xaxis: { title: { text: "behind (ms)" } }, yaxis: { title: { text: "reads" }, type: "log" },
    }, settings);
  }
})();
