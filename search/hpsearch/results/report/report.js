// Draws the plots of the report with the colours of the style sheet, again when those or the width change.
(() => {
  const root = document.documentElement;
  const seconds = Number(root.dataset.reload); // asked first: whatever a plot meets, the page is loaded again
  if (seconds) setTimeout(() => location.reload(), seconds * 1000);
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const NARROW = 640;

  const coloured = (value, style) => {
    if (typeof value === "string") {
      const named = /^var\((--[a-z0-9-]+)\)$/.exec(value);
      return named ? style.getPropertyValue(named[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((part) => coloured(part, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, coloured(part, style)]));
    }
    return value;
  };

  const axis = (given) => ({
    gridcolor: "var(--grid)", zerolinecolor: "var(--grid)", linecolor: "var(--grid)", tickcolor: "var(--grid)",
    automargin: true, ...given,
  });

  const layout = (given, narrow) => ({
    autosize: true,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: "var(--text)", size: narrow ? 11 : 13, family: getComputedStyle(document.body).fontFamily },
    hoverlabel: { bgcolor: "var(--panel)", bordercolor: "var(--rule)", font: { color: "var(--text)" }, align: "left" },
    legend: { orientation: "h", x: 0, xanchor: "left", y: 1.02, yanchor: "bottom", font: { size: narrow ? 10 : 12 } },
    dragmode: narrow ? false : "zoom",
    ...given,
    margin: { l: narrow ? 36 : 56, r: 12, t: 12, b: 44, ...given.margin },
    xaxis: axis(given.xaxis),
    yaxis: axis(given.yaxis),
  });

  const draw = () => {
    const style = getComputedStyle(root);
    const narrow = window.innerWidth < NARROW;
    const config = { responsive: true, displaylogo: false, displayModeBar: false };
    let drawn = 0;
    for (const [key, figure] of Object.entries(figures)) {
      const place = document.getElementById(`plot-${key}`);
      if (!place) continue;
      Plotly.react(place, coloured(figure.data, style), coloured(layout(figure.layout, narrow), style), config);
      drawn += 1;
    }
    root.dataset.drawn = String(drawn);
  };

  let width = window.innerWidth;
  draw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  window.addEventListener("resize", () => {
    if ((window.innerWidth < NARROW) !== (width < NARROW)) draw();
    width = window.innerWidth;
  });
})();
